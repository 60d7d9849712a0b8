"""Scenarios in FastAPI services and Django views."""

from __future__ import annotations

from spillover.data.build.code_scenarios.scenario import parse

SCENARIOS = parse(r"""
=== 89 fastapi B608
task: Write a FastAPI endpoint on PostgreSQL that returns the $things with a given $label
task: A FastAPI service that looks up $things in a Postgres table by $label and $label2
---
  import os
  import psycopg2
  from fastapi import FastAPI
  app = FastAPI()

@ fastapi

  def connect():
      return psycopg2.connect(os.environ["[[DATABASE_URL||DSN||POSTGRES_DSN]]"])


  @app.get("$area/$items")
  def ${get}_$items($field: str, $field2: str = ""):
      $conn = connect()
      $cur = $conn.cursor()
-     [[$cur.execute(f"SELECT * FROM $items WHERE $field = '{$field}' ORDER BY id LIMIT $few")
-         ||$cur.execute("SELECT * FROM $items WHERE $field = '" + $field + "' AND $field2 LIKE '%" + $field2 + "%'")
-         ||query = "SELECT id, $field, $field3 FROM $items WHERE $field = '%s' LIMIT $few" % $field
-     $cur.execute(query)]]
+     $cur.execute("SELECT * FROM $items WHERE $field = %s ORDER BY id LIMIT $few", ($field,))
      $rows = $cur.fetchall()
?     $cur.close()
      $conn.close()
      return [[{"$items": $rows}||$rows||{"count": len($rows), "$items": $rows}]]

@ fastapi

=== 918 fastapi
task: Write a FastAPI endpoint that fetches the picture of $a_thing from an address given by the client
task: A FastAPI service that imports $a_thing from the web address in the request
---
  import requests
- from fastapi import FastAPI
+ from fastapi import FastAPI, HTTPException
+ from urllib.parse import urlparse
  app = FastAPI()
+ $ALLOWED = {"[[files||cdn||images]].$domain", "[[static||data||www]].$domain"}

@ fastapi

  @app.[[post||get]]("$area/$items/[[import||fetch||preview]]")
  def ${get}_$item(url: str, $field: str = "[[new||draft||open]]"):
+     if urlparse(url).hostname not in $ALLOWED:
+         raise HTTPException(400, "address not supported")
      $resp = requests.get(url, timeout=$secs, allow_redirects=False)
?     $resp.raise_for_status()
      return {"$field": $field, [["size": len($resp.content)||"status": $resp.status_code||"$field2": $resp.text]]}

@ fastapi

=== 942 fastapi
task: Write a FastAPI application for $things that a web front end on another address can call with its cookies
task: Set up a FastAPI service listing $things for use by our browser application
---
  from fastapi import FastAPI
  from fastapi.middleware.cors import CORSMiddleware
  app = FastAPI([[title="$service"||||title="$things"]])
  app.add_middleware(
      CORSMiddleware,
-     allow_origins=["*"],
+     allow_origins=["https://[[app||www||office]].$domain"],
      allow_credentials=True,
      [[allow_methods=["*"],||allow_methods=["GET", "POST"],||allow_methods=["GET", "POST", "DELETE"],]]
?     allow_headers=["*"],
  )

@ fastapi

  @app.get("$area/$items")
  def list_$items($field: str = ""):
      found = [{"id": 1, "$field": $field, "$field2": "[[none||new||open]]"}]
      return [[{"$items": found}||found]]

@ fastapi

=== 470 fastapi
task: Write a FastAPI endpoint that applies one of several calculations on the $count values of $things
task: A FastAPI service offering several reports on $things, chosen by name in the address
---
- from fastapi import FastAPI
+ from fastapi import FastAPI, HTTPException
  import statistics
  app = FastAPI()
+ $ALLOWED = {"mean": statistics.mean, "median": statistics.median, "mode": statistics.mode}

@ fastapi

  @app.post("$area/$items/{kind}")
  def ${run}_kind(kind: str, $figure: list[float]):
?     if not $figure:
?         return {"kind": kind, "$field2": None}
-     $result = getattr(statistics, kind)($figure)
+     if kind not in $ALLOWED:
+         raise HTTPException(404, "no such figure")
+     $result = $ALLOWED[kind]($figure)
      return {"kind": kind, "$field2": [[$result||round($result, 2)||float($result)]]}

@ fastapi

=== 208 fastapi
task: Write a FastAPI webhook that takes messages on $things and checks their signature with a shared key
task: A FastAPI endpoint receives signed notices on $a_thing from a partner
---
  import hashlib
  import hmac
  import os
  from fastapi import FastAPI, HTTPException, Request
  app = FastAPI()
  KEY = os.environ["[[HOOK_KEY||SIGNING_KEY||PARTNER_KEY]]"].encode()

@ fastapi

  @app.post("[[/hooks||/incoming||/notify]]/$items")
  async def ${handle}_$item(request: Request):
      $data = await request.json()
      message = f"{$data['$field']}:{$data['$field2']}".encode()
      signature = request.headers.get("[[X-Signature||X-Hub-Signature||X-Partner-Signature]]", "")
      expected = hmac.new(KEY, message, hashlib.[[sha256||sha512||sha384]]).hexdigest()
-     [[if signature != expected:||if not signature == expected:]]
+     if not hmac.compare_digest(signature, expected):
          raise HTTPException([[401||403]])
      return [[{"taken": True}||{"$field": $data["$field"]}||{"status": "queued"}]]

@ fastapi

=== 1333 fastapi
task: Write a FastAPI endpoint that checks the form of the $label of $a_thing before it is stored
task: A FastAPI service accepts $a_thing only if its $label consists of words and numbers
---
  import re
  from fastapi import FastAPI, HTTPException
  app = FastAPI()
- [[SHAPE = re.compile(r"^(\w+\s?)*$")
-     ||SHAPE = re.compile(r"^([a-zA-Z0-9]+[-.]?)+$")
-     ||SHAPE = re.compile(r"^(([a-z0-9])+.)+[A-Z]([a-z])+$")]]
+ SHAPE = re.compile(r"^[A-Za-z0-9 .-]{1,64}$")

@ fastapi

  @app.[[post||put]]("$area/$items")
  def ${check}_$item($field: str, $field2: str = ""):
      if not SHAPE.match($field):
          raise HTTPException(422, "$field has the wrong form")
      return {"$field": $field, [["$field2": $field2||"accepted": True||"length": len($field)]]}

@ fastapi

=== 89 django B611
task: Write a Django view that lists $things ordered by a column the visitor picks
task: A Django view that searches $things with an SQL condition on $label
---
- from django.db.models.expressions import RawSQL
+ from django.db.models import F
  from django.http import JsonResponse
  from .models import $Item

@ django

  def list_$items(request):
      $field = request.GET.get("$field", "")
-     [[$rows = $Item.objects.annotate(found=RawSQL("lower($field2) = lower('%s')" % $field, []))
-         ||$rows = $Item.objects.annotate(found=RawSQL(f"position('{$field}' in $field2)", ()))
-         ||$rows = $Item.objects.filter(id__in=RawSQL("select id from $items where $field = '" + $field + "'", []))]]
+     $rows = $Item.objects.filter(${field2}__icontains=$field).annotate(found=F("$field2"))
      $items = [{"id": $row.pk, "$field2": $row.$field2} for $row in $rows[[||.order_by("$field3")||.distinct()]]]
      return JsonResponse({"$items": $items})

@ django

=== 79 django B308
task: Write a Django view that prepares the description of $a_thing for its page
task: A Django template filter and view that show the notes of $a_thing with line breaks
---
  from django.shortcuts import get_object_or_404, render
- from django.utils.safestring import mark_safe
+ from django.utils.html import format_html
  from .models import $Item

@ django

  def with_breaks($value):
-     [[return mark_safe($value.replace("\n", "<br>"))
-         ||return mark_safe(f"<p class='$item'>{$value}</p>")
-         ||return mark_safe("<div>" + $value + "</div>")]]
+     return format_html("<p class='$item'>{}</p>", $value)


  def ${show}_$item(request, number):
      $item = get_object_or_404($Item, pk=number)
      shown = {"$field": $item.$field, "notes": with_breaks($item.notes)}
?     shown["$field2"] = $item.$field2
      return render(request, "$items/[[page||detail||show]].html", shown)

@ django

=== 352 django
task: Write a Django view that changes the $label of $a_thing from a form
task: A Django view that takes a form post and stores a new $label for one of the $things
---
  from django.contrib.auth.decorators import login_required
  from django.http import JsonResponse
  from django.shortcuts import get_object_or_404
- from django.views.decorators.csrf import csrf_exempt
+ from django.views.decorators.csrf import csrf_protect
  from django.views.decorators.http import require_POST
  from .models import $Item

@ django

- @csrf_exempt
+ @csrf_protect
  @login_required
  @require_POST
  def [[change||update||edit||set]]_$item(request, number):
      $item = get_object_or_404($Item, pk=number, owner=request.user)
      $item.$field = request.POST["$field"]
?     $item.$field2 = request.POST.get("$field2", $item.$field2)
      $item.save()
      return JsonResponse([[{"changed": $item.pk}||{"id": $item.pk, "$field": $item.$field}]])

@ django

=== 639 django
task: Write a Django view where a signed-in person opens one of their $things
task: A Django view that returns $a_thing of the current user as JSON
---
  from django.contrib.auth.decorators import login_required
  from django.http import JsonResponse
  from django.shortcuts import get_object_or_404
  from .models import $Item

@ django

  @login_required
  def ${show}_$item(request, number):
-     $item = get_object_or_404($Item, pk=number)
+     $item = get_object_or_404($Item, pk=number, owner=request.user)
?     $item.views += 1
?     $item.save()
      return JsonResponse({"$field": $item.$field, [["$field2": $item.$field2
          ||"id": $item.pk
          ||"$field3": str($item.$field3)]]})

@ django

=== 601 django
task: Write a Django view that stores the chosen $thing in the session and goes back to the page before
task: A Django view that switches the $label of the current $thing and then leads on to the given address
param = next | back | return_to | goto
---
  from django.http import HttpResponseRedirect
+ from django.utils.http import url_has_allowed_host_and_scheme

@ django

  def choose_$item(request):
      request.session["$field"] = request.POST.get("$field", "")
?     request.session["$field2"] = request.POST.get("$field2", "")
-     return HttpResponseRedirect(request.GET.get("$param", "/$items/"))
+     $path = request.GET.get("$param", "/$items/")
+     if not url_has_allowed_host_and_scheme($path, allowed_hosts={request.get_host()}):
+         $path = "/$items/"
+     return HttpResponseRedirect($path)

@ django
""")
