"""Scenarios in classes and functions around databases and directories."""

from __future__ import annotations

from spillover.data.build.code_scenarios.scenario import parse

SCENARIOS = parse(r"""
=== 89 class B608
task: Write a class around an SQLite table of $things with methods to find and to remove entries by $label
task: A repository class for $things in SQLite: lookup by $label, deletion by $label
---
  import sqlite3


  class ${Item}Table:
      def __init__(self, $path="$database"):
          self.$conn = sqlite3.connect($path)
?         self.$conn.row_factory = sqlite3.Row

@ method

      def [[find||by_value||lookup||matching]](self, $field):
-         [[$cur = self.$conn.execute(f"SELECT id, $field, $field2 FROM $items WHERE $field = '{$field}'")
-             ||query = "SELECT id, $field, $field2 FROM $items WHERE $field = '" + $field + "'"
-         $cur = self.$conn.execute(query)
-             ||$cur = self.$conn.execute("SELECT id, $field2 FROM $items WHERE $field LIKE '%{}%'".format($field))]]
+         $cur = self.$conn.execute("SELECT id, $field, $field2 FROM $items WHERE $field = ?", ($field,))
          return $cur.fetchall()

      def $remove(self, $field):
-         [[self.$conn.execute(f"DELETE FROM $items WHERE $field = '{$field}'")
-             ||self.$conn.execute("DELETE FROM $items WHERE $field = '" + $field + "'")
-             ||self.$conn.execute("DELETE FROM $items WHERE $field = '%s'" % $field)]]
+         self.$conn.execute("DELETE FROM $items WHERE $field = ?", ($field,))
          self.$conn.commit()

@ method

=== 89 database_access B608
task: Write functions that add $a_thing to an SQLite database and change its $label afterwards
task: Database functions for $things: insert a row, update the $label of a row
---
  import sqlite3
  from contextlib import closing
  DATABASE = "$database"

@ function

  def add_$item($field, $field2):
      with closing(sqlite3.connect(DATABASE)) as $conn:
-         [[$cur = $conn.execute(f"INSERT INTO $items ($field, $field2) VALUES ('{$field}', '{$field2}')")
-         ||$cur = $conn.execute("INSERT INTO $items ($field, $field2) VALUES ('%s', '%s')" % ($field, $field2))
-         ||$cur = $conn.execute("INSERT INTO $items ($field, $field2) VALUES ('" + $field + "', '" + $field2 + "')")]]
+         $cur = $conn.execute("INSERT INTO $items ($field, $field2) VALUES (?, ?)", ($field, $field2))
          $conn.commit()
          return $cur.lastrowid


  def [[change||update||set]]_$field(number, $field):
      with closing(sqlite3.connect(DATABASE)) as $conn:
-         [[$conn.execute(f"UPDATE $items SET $field = '{$field}' WHERE id = {number}")
-             ||$conn.execute("UPDATE $items SET $field = '" + $field + "' WHERE id = " + str(number))]]
+         $conn.execute("UPDATE $items SET $field = ? WHERE id = ?", ($field, number))
          $conn.commit()

@ function

=== 89 report_generator B608
task: Write a report that sums up the $things per $label for a given $label2 from a PostgreSQL database
task: A monthly report on $things: count them by $label from Postgres and print a table
---
  import os
  import sys
  import psycopg2

@ function

  def figures($conn, $field2):
      with $conn.cursor() as $cur:
-         [[$cur.execute(f"SELECT $field, count(*) FROM $items WHERE $field2 = '{$field2}' GROUP BY $field")
-             ||$cur.execute("SELECT $field, count(*) FROM $items WHERE $field2 = '" + $field2 + "' GROUP BY $field")
-             ||statement = "SELECT $field, count(*) FROM $items WHERE $field2 = '%s' GROUP BY $field" % $field2
-         $cur.execute(statement)]]
+         $cur.execute("SELECT $field, count(*) FROM $items WHERE $field2 = %s GROUP BY $field", ($field2,))
          return $cur.fetchall()


  def report($field2):
      $conn = psycopg2.connect(os.environ["DATABASE_URL"])
?     print("$items by $field")
      for $field, number in figures($conn, $field2):
          print([[f"{$field:<20}{number:>6}"||$field, number||f"{number:>5}  {$field}"]])
      $conn.close()


  if __name__ == "__main__":
      report(sys.argv[1])

=== 259 database_access B106
task: Write a function that opens the MySQL database of the $things service and returns all $things
task: Database access for $things on a MySQL server named $host
host = db.internal | mysql1.internal | 10.0.4.12 | data.office | sql.example.net | 10.1.0.7 | maria.internal
---
  import os
  import pymysql

@ function

  def connect():
      return pymysql.connect(
          host="$host",
          user="[[${service}||$items||reader||app]]",
-         password="[[$secret||${secret}${few}||$few$secret]]",
+         password=os.environ["[[DB||MYSQL||${ITEMS}]]_PASSWORD"],
          database="[[$items||$service||office]]",
?         connect_timeout=$secs,
      )


  def all_$items():
      $conn = connect()
      with $conn.cursor() as $cur:
          $cur.execute("SELECT $field, $field2 FROM $items ORDER BY [[$field||$field2||id]]")
          $rows = $cur.fetchall()
?     $conn.close()
      return $rows

@ function

=== 312 class
task: Write a class that registers people who manage $things and checks their sign-in
task: A class of accounts for the $things service with methods to register and to sign in
---
  import json
  from pathlib import Path
+ from werkzeug.security import check_password_hash, generate_password_hash


  class ${Item}Accounts:
      def __init__(self, $path="[[accounts||people||staff]].json"):
          self.$path = Path($path)
          self.users = json.loads(self.$path.read_text()) if self.$path.exists() else {}

@ method

      def register(self, name, password, $field=""):
-         self.users[name] = {"password": password, "$field": $field}
+         self.users[name] = {"password": generate_password_hash(password), "$field": $field}
          self.$path.write_text(json.dumps(self.users[[||, indent=2||, sort_keys=True]]))

      def sign_in(self, name, password):
          known = self.users.get(name)
-         return known is not None and known["password"] == password
+         return known is not None and check_password_hash(known["password"], password)

@ method

=== 943 database_access
task: Write functions that search $things in a MongoDB collection by $label
task: MongoDB access for $things: find those with a given $label, newest first
---
  from pymongo import MongoClient
  $conn = MongoClient("mongodb://localhost:27017")["[[$service||office||main]]"]

@ function

  def ${items}_with($field):
      $rows = $conn["$items"].find(
-         {"$$where": [[f"this.$field == '{$field}'"
-             ||"this.$field == '" + $field + "'"
-             ||"this.$field == '%s'" % $field]]}
+         {"$field": str($field)}
      )
      return [[list($rows.sort("_id", -1))||list($rows.limit($few))||sorted($rows, key=lambda item: item["$field2"])]]

@ function

=== 90 database_access
task: Write a function that finds a person in the LDAP directory by the $label of their $thing
task: Look up staff in an LDAP directory by user name for the $things service
---
  import ldap
+ from ldap.filter import escape_filter_chars
  BASE_DN = "ou=[[people||staff||users]],dc=[[example||company||city]],dc=[[org||com||net]]"

@ function

  def ${get}_person($field):
      $conn = ldap.initialize("ldaps://[[directory||ldap||ldap1]].$domain")
?     $conn.simple_bind_s()
-     [[$result = $conn.search_s(BASE_DN, ldap.SCOPE_SUBTREE, f"(&(objectClass=person)(uid={$field}))")
-         ||$result = $conn.search_s(BASE_DN, ldap.SCOPE_SUBTREE, "(uid=" + $field + ")")
-         ||$result = $conn.search_s(BASE_DN, ldap.SCOPE_SUBTREE, "(cn=%s)" % $field)]]
+     $result = $conn.search_s(BASE_DN, ldap.SCOPE_SUBTREE, f"(uid={escape_filter_chars($field)})")
      $conn.unbind_s()
      return [[$result||$result[0] if $result else None||[entry for _, entry in $result if entry] ]]

@ function

=== 915 class
task: Write a class for $a_thing with a method that takes changes from a JSON request
task: A class $Item with fields and an update method that applies the values a client sends
---
+ FIELDS = ("$field", "$field2")


  class $Item:
      def __init__(self, $field, $field2="", $field3=""):
          self.$field = $field
          self.$field2 = $field2
          self.$field3 = $field3
          self.is_admin = False

@ method

      def [[update||apply||change||merge]](self, $data):
-         for name, value in $data.items():
-             setattr(self, name, value)
+         for name in FIELDS:
+             if name in $data:
+                 setattr(self, name, $data[name])
          return self

@ method

      def as_dict(self):
          return [[dict(vars(self))||{"$field": self.$field, "$field2": self.$field2}||vars(self).copy()]]
""")
