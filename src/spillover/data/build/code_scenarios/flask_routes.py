"""Scenarios in Flask programs: queries, pages, downloads, uploads, cookies."""

from __future__ import annotations

from spillover.data.build.code_scenarios.scenario import parse

SCENARIOS = parse(r"""
=== 89 flask B608
task: Write a Flask route that searches $things by $label in an SQLite database and returns them as JSON
task: A small web service for $things: a search address takes the $label and answers with the matching rows
---
  import sqlite3
  from flask import Flask, jsonify, request
  app = Flask(__name__)
  DATABASE = "$database"

@ flask

  def ${get}_$items($field):
      $conn = sqlite3.connect(DATABASE)
?     $conn.row_factory = sqlite3.Row
      $cur = $conn.cursor()
-     [[$cur.execute(f"SELECT id, $field, $field2 FROM $items WHERE $field = '{$field}'")
-         ||$cur.execute("SELECT id, $field, $field2 FROM $items WHERE $field = '" + $field + "'")
-         ||$cur.execute("SELECT id, $field, $field2 FROM $items WHERE $field = '%s'" % $field)
-         ||$cur.execute("SELECT id, $field, $field2 FROM $items WHERE $field = '{}'".format($field))]]
+     $cur.execute("SELECT id, $field, $field2 FROM $items WHERE $field = ?", ($field,))
      $rows = $cur.fetchall()
      $conn.close()
      return $rows


  @app.route("$area/$items[[/search||||/find]]")
  def search_$items():
      $field = request.args.get("$field", "")
?     if not $field:
?         return jsonify(error="$field is missing"), 400
      return jsonify([[$items=[tuple($row) for $row in ${get}_$items($field)]
          ||found=[list($row) for $row in ${get}_$items($field)]
          ||list(map(list, ${get}_$items($field)))]])

@ flask
?
? if __name__ == "__main__":
?     app.run(port=$port)

=== 78 flask B605
task: Write a Flask endpoint that packs the folder of $a_thing into an archive and says where it is
task: A web service on which staff can have all files of one $thing archived by its $label
---
  import os
+ import shutil
  from flask import Flask, jsonify, request
  app = Flask(__name__)
  $BASE = "$folder"

@ flask

  @app.route("$area/$items/archive", methods=["POST"])
  def archive_$item():
      $field = request.form["$field"]
?     os.makedirs(os.path.join($BASE, "archives"), exist_ok=True)
-     [[os.system(f"tar czf {$BASE}/archives/{$field}.tar.gz {$BASE}/$items/{$field}")
-         ||os.system("tar czf " + $BASE + "/archives/" + $field + ".tar.gz " + $BASE + "/$items/" + $field)
-         ||os.system("cd %s && tar czf archives/%s.tar.gz $items/%s" % ($BASE, $field, $field))
-         ||os.popen(f"cd {$BASE} && tar czf archives/{$field}.tar.gz $items/{$field}").read()]]
+     $field = os.path.basename($field)
+     shutil.make_archive(f"{$BASE}/archives/{$field}", "gztar", f"{$BASE}/$items/{$field}")
      return jsonify([[archive=f"{$field}.tar.gz"
          ||{"$field": $field, "done": True}
          ||file=$field + ".tar.gz", folder="archives"]])

@ flask

=== 489 flask B201
task: Write a Flask application that lists $things and adds new ones, and starts when run as a script
task: A minimal web service holding $things in memory with one address to list and one to add
---
  from flask import Flask, jsonify, request
  app = Flask(__name__)
  $items = []

@ flask

  @app.get("$area/$items")
  def list_$items():
      return jsonify([[$items||sorted($items, key=lambda item: item["$field"])||count=len($items), $items=$items]])


  @app.post("$area/$items")
  def add_$item():
      $data = request.get_json()
      $item = {"$field": $data["$field"], "$field2": $data.get("$field2")}
?     $item["id"] = len($items) + 1
      $items.append($item)
      return jsonify($item), 201

@ flask

  if __name__ == "__main__":
-     [[app.run(debug=True, port=$port)
-         ||app.run(port=$port, debug=True)
-         ||app.run(host="127.0.0.1", port=$port, debug=True)]]
+     [[app.run(port=$port)||app.run(host="127.0.0.1", port=$port)]]

=== 94 flask B307
task: Write a Flask address that takes a Python list of numbers as text and gives figures on the $count of $things
task: A web page sends the $count values of its $things as text like [3, 4.5, 8]; compute figures from it
---
- import statistics
+ import ast
+ import statistics
  from flask import Flask, jsonify, request
  app = Flask(__name__)

@ flask

  @app.route("$area/$items/figures", methods=["POST"])
  def ${item}_figures():
      $value = request.form.get("$figure", "[]")
-     numbers = eval($value)
+     numbers = ast.literal_eval($value)
?     if not numbers:
?         return jsonify(error="no $figure given"), 400
      return jsonify(
          [[mean=statistics.mean(numbers)||average=sum(numbers) / len(numbers)]],
          [[highest=max(numbers)||top=sorted(numbers)[-3:]||median=statistics.median(numbers)]],
          [[count=len(numbers)||lowest=min(numbers)||spread=max(numbers) - min(numbers)]],
      )

@ flask

=== 79 flask B704
task: Write a Flask page that shows a comment on $a_thing with its $label and $label2
task: A Flask view renders what a visitor wrote about $a_thing inside a paragraph
remark = comment | remark | message | opinion | note
---
  from flask import Flask, render_template_string, request
  from markupsafe import Markup
  app = Flask(__name__)
  PAGE = "<h1>{{ $field }}</h1>{{ $remark }}"

@ flask

  @app.route("/$items/$remark", methods=["POST"])
  def ${show}_$item():
      $field = request.form["$field"]
      $value = request.form.get("$field2", "")
[[-     $text = Markup("<p>" + $value + "</p>")
+     $text = Markup("<p>") + $value + Markup("</p>")
||-     $text = Markup(f"<p class='$item'>{$value}</p>")
+     $text = Markup("<p class='$item'>{}</p>").format($value)
||-     $text = Markup("<blockquote>%s</blockquote>" % $value)
+     $text = Markup("<blockquote>%s</blockquote>") % $value]]
      return render_template_string(PAGE, $field=$field, $remark=$text)

@ flask

=== 330 flask B311
task: Write a Flask route that creates a reset code for $a_thing account and stores it for later use
task: A Flask service hands out a one-time code to whoever registers $a_thing by $label
codes = codes | pending | open_codes | waiting
amount_of = 6 | 8 | 10 | 12 | 16
---
- import random
+ import secrets
  import string
  from flask import Flask, jsonify, request
  app = Flask(__name__)
  $codes = {}

@ flask

  def ${make}_code():
      letters = string.[[ascii_letters||ascii_uppercase + string.digits||digits||ascii_lowercase]]
-     return "".join(random.choice(letters) for _ in range($amount_of))
+     return "".join(secrets.choice(letters) for _ in range($amount_of))


  @app.route("$area/$items/code", methods=["POST"])
  def code_for_$item():
      $field = request.form["$field"]
      $codes[$field] = ${make}_code()
?     app.logger.info("code made, %d open", len($codes))
      return jsonify([[sent=True||{"$field": $field, "length": len($codes[$field])}]])

@ flask

=== 502 flask B301
task: Write a Flask service that keeps a visitor's chosen $things in a cookie and shows them again
task: Remember the last viewed $things of a visitor in a cookie between two visits of a Flask site
---
  import base64
- import pickle
+ import json
  from flask import Flask, jsonify, make_response, request
  app = Flask(__name__)
  COOKIE = "[[recent||chosen||seen||basket]]_$items"

@ flask

  @app.route("/$items/chosen")
  def chosen_$items():
      $value = request.cookies.get(COOKIE)
      if not $value:
          return jsonify([])
-     $items = pickle.loads(base64.b64decode($value))
+     $items = json.loads(base64.b64decode($value))
      return jsonify([[$items||list($items)[:$few]||sorted($items)]])


  @app.route("/$items/<$field>/choose", methods=["POST"])
  def choose_$item($field):
      $resp = make_response(jsonify(ok=True))
-     $data = base64.b64encode(pickle.dumps([$field])).decode()
+     $data = base64.b64encode(json.dumps([$field]).encode()).decode()
      $resp.set_cookie(COOKIE, $data, httponly=True, secure=True)
      return $resp

@ flask
""")
