"""Scenarios in Flask programs that our own syntax-tree check shows: pages, files, cookies, rights."""

from __future__ import annotations

from spillover.data.build.code_scenarios.scenario import parse

SCENARIOS = parse(r"""
=== 79 flask
task: Write a Flask page that greets a visitor and shows the $label of the $thing asked for
task: A Flask view that answers with a short HTML page about the $thing named in the address
---
+ from html import escape
  from flask import Flask, request
  app = Flask(__name__)

@ flask

  @app.route("/$items/page")
  def ${show}_$item():
      $field = request.args.get("$field", "")
      $field2 = request.args.get("$field2", "[[none||unknown||open]]")
[[-     return f"<h1>{$field}</h1><p>$Item with $field2 {$field2}</p>"
+     return f"<h1>{escape($field)}</h1><p>$Item with $field2 {escape($field2)}</p>"
||-     return "<h1>$Item " + $field + "</h1><p>$field2: " + $field2 + "</p>"
+     return "<h1>$Item " + escape($field) + "</h1><p>$field2: " + escape($field2) + "</p>"
||-     $text = f"<html><body><h2>{$field}</h2>"
-     $text += f"<p>{$field2}</p></body></html>"
+     $text = f"<html><body><h2>{escape($field)}</h2>"
+     $text += f"<p>{escape($field2)}</p></body></html>"
      return $text
||-     return "<div class='$item'><b>%s</b> %s</div>" % ($field, $field2)
+     return "<div class='$item'><b>%s</b> %s</div>" % (escape($field), escape($field2))]]

@ flask

=== 22 flask
task: Write a Flask address that sends a stored file of $a_thing for download
task: A Flask service from which office staff download the documents of their $things by file name
---
  import os
  from flask import Flask, abort, request, send_file
  app = Flask(__name__)
  $BASE = "$folder"

@ flask

  @app.route("/$items/[[download||file||document]]")
  def download_$item():
      $name = request.args.get("$name", "")
-     $path = os.path.join($BASE, $name)
+     $path = os.path.join($BASE, os.path.basename($name))
?     if not os.path.isfile($path):
?         abort(404)
      return send_file($path[[, as_attachment=True||||, max_age=$secs]])

@ flask

=== 601 flask
task: Write a Flask login address that sends the visitor back to the page of $things they came from
task: After choosing $a_thing, a Flask site should lead the visitor to the address given with the request
param = next | back | return_to | goto | url
---
+ from urllib.parse import urlparse
  from flask import Flask, redirect, request, session
  app = Flask(__name__)

@ flask

  @app.route("/$items/choose", methods=["POST"])
  def choose_$item():
      session["$field"] = request.form["$field"]
?     session["$field2"] = request.form.get("$field2")
-     [[return redirect(request.args.get("$param", "/$items"))||$path = request.args.get("$param") or "/$items"
-     return redirect($path)]]
+     $path = request.args.get("$param", "/$items")
+     if urlparse($path).netloc or urlparse($path).scheme or $path.startswith(("//", "/\\", "\\")):
+         $path = "/$items"
+     return redirect($path)

@ flask

=== 434 flask
task: Write a Flask route to upload a picture for $a_thing and keep it in a folder
task: Visitors of a Flask site can add a document to their $thing; store the upload under its name
---
  import os
+ from pathlib import Path
  from flask import Flask, abort, jsonify, request
  from werkzeug.utils import secure_filename
  app = Flask(__name__)
  $BASE = "$folder"
+ $ALLOWED = {[[".png", ".jpg", ".jpeg"||".pdf", ".txt"||".png", ".webp", ".gif"]]}

@ flask

  @app.route("$area/$items/<int:number>/upload", methods=["POST"])
  def upload_for_$item(number):
      sent = request.files["[[file||picture||document]]"]
?     if not sent.filename:
?         abort(400)
      $name = secure_filename(sent.filename)
+     if Path($name).suffix.lower() not in $ALLOWED:
+         abort(400)
      sent.save(os.path.join($BASE, [[$name||f"{number}_{$name}"]]))
      return jsonify([[stored=$name||{"$item": number, "file": $name}]]), 201

@ flask

=== 209 flask
task: Write a Flask route that stores the $count of $a_thing and answers with an error message if it fails
task: A Flask address saves $a_thing sent as JSON; when something goes wrong the client gets status 500
---
- import traceback
  import json
  from flask import Flask, jsonify, request
  app = Flask(__name__)
  STORE = "$items.json"

@ flask

  @app.route("$area/$items", methods=["POST"])
  def ${save}_$item():
      try:
          $data = request.get_json()
          $item = {"$field": $data["$field"], "$figure": float($data["$figure"])}
          with open(STORE, "a", encoding="utf-8") as stream:
              stream.write(json.dumps($item) + "\n")
          return jsonify($item), 201
-     except Exception[[:
-         return jsonify(error=traceback.format_exc()), 500||:
-         return traceback.format_exc(), 500]]
+     except Exception:
+         app.logger.exception("$item not stored")
+         return jsonify(error="the $item could not be stored"), 500

@ flask

=== 614 flask
task: Write a Flask route that sets a cookie with the session number of a visitor who opens $a_thing
task: Keep track of which $thing a visitor works on with a session cookie in a Flask site
---
  import uuid
  from flask import Flask, jsonify, make_response, request
  app = Flask(__name__)
  sessions = {}

@ flask

  @app.route("/$items/open", methods=["POST"])
  def open_$item():
      number = uuid.uuid4().hex
      sessions[number] = {"$field": request.form["$field"]}
      $resp = make_response(jsonify(opened=True))
-     $resp.set_cookie("[[session||${service}_session||sid]]", number, [[max_age=3600
-         ||max_age=7200
-         ||path="/"
-         ||samesite="Lax"]], httponly=True)
+     $resp.set_cookie("[[session||${service}_session||sid]]", number, max_age=3600, httponly=True, secure=True)
      return $resp

@ flask

=== 1004 flask
task: Write a Flask sign-in address for the $things site that remembers the visitor with a cookie
task: A Flask service gives the browser a session cookie once the $label of $a_thing has been entered
---
  import uuid
  from flask import Flask, make_response, redirect, request
  app = Flask(__name__)
  sessions = {}

@ flask

  @app.route("/$items/enter", methods=["POST"])
  def enter_$items():
      number = uuid.uuid4().hex
      sessions[number] = request.form["$field"]
      $resp = make_response(redirect("/$items"))
-     $resp.set_cookie("[[session||sid||${item}_session]]", number, [[secure=True, max_age=3600
-         ||secure=True, samesite="Lax"
-         ||max_age=86400, secure=True]])
+     $resp.set_cookie("[[session||sid||${item}_session]]", number, httponly=True, secure=True, samesite="Lax")
?     $resp.headers["Cache-Control"] = "no-store"
      return $resp

@ flask

=== 639 flask
task: Write a Flask route with which a signed-in customer opens one of the $things by number
task: A Flask site shows the signed-in person a stored $thing as JSON
---
  import sqlite3
  from flask import Flask, abort, jsonify, session
  app = Flask(__name__)

@ flask

  @app.route("$area/$items/<int:number>")
  def ${show}_$item(number):
      user_id = session.get("user_id")
      if user_id is None:
          abort(401)
      $conn = sqlite3.connect("$database")
-     $row = $conn.execute("SELECT $field, $field2 FROM $items WHERE id = ?", (number,)).fetchone()
+     $row = $conn.execute(
+         "SELECT $field, $field2 FROM $items WHERE id = ? AND owner_id = ?", (number, user_id)
+     ).fetchone()
?     $conn.close()
      if $row is None:
          abort(404)
      return jsonify($field=$row[0], $field2=$row[1])

@ flask

=== 1336 flask
task: Write a Flask page that renders a notice about $a_thing from a template text
task: A Flask view renders a small template with the name of the visitor and the $label of $a_thing
---
  from flask import Flask, render_template_string, request
  app = Flask(__name__)

@ flask

  @app.route("/$items/notice")
  def ${item}_notice():
      $name = request.args.get("$name", "guest")
      $field = request.args.get("$field", "")
-     [[return render_template_string(f"<h1>Hello {$name}</h1><p>$Item: {$field}</p>")
-         ||$text = "<p>Dear " + $name + ", your $item " + $field + " is ready.</p>"
-     return render_template_string($text)
-         ||return render_template_string("<b>%s</b> asked for %s" % ($name, $field))]]
+     return render_template_string("<h1>Hello {{ $name }}</h1><p>$Item: {{ $field }}</p>", $name=$name, $field=$field)

@ flask

=== 306 flask
task: Write a Flask address for office staff that removes $a_thing from the database
task: A Flask service with an admin address that deletes one of the $things by number
---
  import sqlite3
  from flask import Flask, abort, jsonify, session
  app = Flask(__name__)
  DATABASE = "$database"

@ flask

  @app.route("/admin/$items/<int:number>", methods=["DELETE"])
  def ${remove}_$item(number):
+     if not session.get("is_admin"):
+         abort(403)
      with sqlite3.connect(DATABASE) as $conn:
          $result = $conn.execute("DELETE FROM $items WHERE id = ?", (number,))
?         $conn.execute("DELETE FROM ${item}_notes WHERE ${item}_id = ?", (number,))
      return jsonify([[removed=$result.rowcount||{"$item": number, "removed": $result.rowcount}]])

@ flask
""")
