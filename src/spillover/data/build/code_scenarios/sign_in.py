"""Scenarios around passwords, sessions and sign-in tokens."""

from __future__ import annotations

from spillover.data.build.code_scenarios.scenario import parse

SCENARIOS = parse(r"""
=== 328 sign_in B324
task: Write functions that store the password of a person who manages $things and check it at sign-in
task: Sign-in for the $things service: hash a password, compare it later
method = md5 | sha1
---
  import hashlib
+ import hmac
+ import os
  import sqlite3

@ function

  def hashed(password[[||, $field=""]]):
-     [[return hashlib.$method(password.encode()).hexdigest()||digest = hashlib.$method()
-     digest.update(password.encode("utf-8"))
-     return digest.hexdigest()]]
+     salt = os.urandom(16)
+     return salt.hex() + hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1).hex()


  def register($conn, $user, password):
      $conn.execute("INSERT INTO ${item}_users VALUES (?, ?)", ($user, hashed(password)))
      $conn.commit()


  def sign_in($conn, $user, password):
      $row = $conn.execute("SELECT hash FROM ${item}_users WHERE name = ?", ($user,)).fetchone()
-     return $row is not None and hashed(password) == $row[0]
+     if $row is None:
+         return False
+     salt = bytes.fromhex($row[0][:32])
+     return hmac.compare_digest($row[0][32:], hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1).hex())

@ function

=== 330 sign_in B311
task: Write functions that give a signed-in person a session number and find the person again for the $things site
task: Session handling for the $things service: open, look up, close
---
- import random
+ import secrets
  import time
  sessions = {}

@ function

  def open_session($user, $field=""):
-     [[number = "".join(random.choice("0123456789abcdef") for _ in range(32))
-         ||number = hex(random.getrandbits(64))
-         ||number = str(random.randint(10**9, 10**10))
-         ||number = "%016x" % random.getrandbits(64)]]
+     number = secrets.token_hex(16)
      sessions[number] = {"$user": $user, "$field": $field, "started": time.time()}
      return number


  def session_of(number, longest=[[3600||1800||7200||86400]]):
      known = sessions.get(number)
?     if known and time.time() - known["started"] > longest:
?         del sessions[number]
?         return None
      return known[[||["$user"] if known else None]]


  def close_session(number):
      sessions.pop(number, None)

@ function

=== 338 class B311
task: Write a class that issues vouchers for $things, each with a number that is hard to guess
task: A class that makes access keys for partners who deliver $things
size = 12 | 16 | 20 | 24 | 32
---
- import random
+ import secrets
  import string


  class ${Item}Keys:
      LETTERS = string.[[ascii_letters + string.digits||hexdigits||ascii_uppercase + string.digits]]

      def __init__(self):
          self.given = {}

@ method

      def [[issue||new||create||next_key]](self, $field):
-         [[made = "".join(random.choice(self.LETTERS) for _ in range($size))
-             ||made = "".join(random.choices(self.LETTERS, k=$size))]]
+         made = "".join(secrets.choice(self.LETTERS) for _ in range($size))
          self.given[made] = $field
          return made

      def [[holder||belongs_to||owner]](self, made):
          return self.given.get(made)

@ method

=== 798 sign_in B105
task: Write the check of the password for the office pages of the $things service
task: A function that lets only the office into the $things program by password
---
  import getpass
+ import hmac
+ import os

@ function

  def may_enter(password):
-     [[if password == "$secret":
-         return True||if password == "$secret$few":
-         return True||if password != "$few$secret":
-         return False
-     return True]]
+     if hmac.compare_digest(password, os.environ["[[OFFICE||${ITEMS}]]_PASSWORD"]):
+         return True
      return False


  def main():
      if not may_enter(getpass.getpass("[[Password||Office password||$Item desk]]: ")):
          raise SystemExit("[[no entry||wrong password||not allowed]]")
      print("[[welcome to the $things||$items open||ready]]")

@ function

  if __name__ == "__main__":
      main()

=== 259 api_client B107
task: Write a client class for the $things service that signs in with a name and password
task: A client that opens a session at $host and reads $things
host = partner.example.net | feeds.example.org | api.supplier.example | export.city.example | service.local
---
  import requests


  class ${Item}Client:
-     def __init__(self, name="[[$service||office||reader]]", password="$secret"):
+     def __init__(self, name, password):
          self.web = requests.Session()
          self.web.auth = (name, password)
          self.start = "https://$host$area"

@ method

      def $get(self, $field):
          $resp = self.web.get(self.start + "/$items", params={"$field": $field}, timeout=$secs)
?         $resp.raise_for_status()
          return $resp.[[json()||json().get("$items")||json()["$items"] ]]

@ method

=== 916 sign_in
task: Write functions that hash a password with a salt and verify it for the $things program
task: Password hashing for people who work with $things, with PBKDF2
weak = 1 | 10 | 100 | 500 | 1000
---
  import hashlib
  import hmac
  import os

@ function

  def hashed(password, salt=None):
      salt = salt or os.urandom(16)
-     $result = hashlib.pbkdf2_hmac("[[sha256||sha512]]", password.encode(), salt, $weak)
+     $result = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 600_000)
      return salt, $result


  def matches(password, salt, $result):
      return hmac.compare_digest(hashed(password, salt)[1], $result)

@ function

=== 347 sign_in
task: Write a function that reads the person and the $thing out of a JSON web token
task: Take the sign-in token of a request to the $things service and return who sent it
---
  import os
  import jwt
  KEY = os.environ["[[SIGN_IN||JWT||${ITEMS}]]_KEY"]

@ function

  def ${get}_person(header):
      sent = header.removeprefix("Bearer ")
-     claims = jwt.decode(sent, options={"verify_signature": False})
+     claims = jwt.decode(sent, KEY, algorithms=["HS256"])
      return [[claims["sub"]
          ||claims["sub"], claims.get("$field")
          ||{"person": claims["sub"], "$field": claims.get("$field")}]]


  def may_open(header, $item):
      return ${get}_person(header) [[== $item["$field2"]||in $item["$items"]||is not None]]

@ function

=== 613 sign_in
task: Write a function that makes a signed token for a person who may see $things
task: Issue a JSON web token with the $label of $a_thing after sign-in
---
  import os
+ from datetime import datetime, timedelta, timezone
  import jwt
  KEY = os.environ["[[SIGN_IN||JWT||${ITEMS}]]_KEY"]

@ function

  def ${make}_pass($user, $field):
      claims = {
          "sub": $user,
          "$field": $field,
+         "exp": datetime.now(timezone.utc) + timedelta(minutes=$few),
      }
?     claims["[[iss||aud]]"] = "$service"
      return jwt.encode(claims, KEY, algorithm="[[HS256||HS512]]")


  def pass_header($user, $field):
      return {"Authorization": "Bearer " + ${make}_pass($user, $field)[[||, "X-$Item": str($field)]]}

@ function

=== 521 sign_in
task: Write the registration of people for the $things site with a rule for the password
task: A function that accepts or refuses a new password in the $things program
short = 3 | 4 | 5 | 6
---
  from werkzeug.security import generate_password_hash
  people = {}

@ function

  def acceptable(password):
-     [[return len(password) >= $short||if len(password) < $short:
-         return False
-     return True]]
+     return len(password) >= 12


  def register($user, password, $field=None):
      if $user in people or not acceptable(password):
          raise ValueError("[[name or password refused||not registered||choose another]]")
      people[$user] = {"hash": generate_password_hash(password), "$field": $field}
?     print("$item desk:", len(people), "registered")
      return [[$user||people[$user]||len(people)]]

@ function

=== 208 class
task: Write a class that checks the key which partners send with their $things
task: A class of known partner keys with a check used before $a_thing is taken in
admits = admits | opens | accepts | lets_in
---
+ import hmac
  import os


  class ${Item}Gate:
      def __init__(self):
          self.api_key = os.environ["[[PARTNER||INTAKE||${ITEMS}]]_KEY"]
          self.refused = 0

@ method

      def $admits(self, sent_key):
-         if [[sent_key == self.api_key||self.api_key == sent_key]]:
+         if hmac.compare_digest(sent_key, self.api_key):
              return True
          self.refused += 1
          return False

      def take_in(self, headers, $item, $items):
          if not self.$admits(headers.get("X-Key", "")):
              raise PermissionError("unknown partner")
          $items.append([[$item||($item["$field"], $item)||{**$item, "$field": str($item["$field"])}]])
""")
