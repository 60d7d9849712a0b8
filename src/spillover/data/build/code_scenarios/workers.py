"""Scenarios in download workers, message consumers and clients of other services."""

from __future__ import annotations

from spillover.data.build.code_scenarios.scenario import parse

SCENARIOS = parse(r"""
=== 295 download_worker B501
task: Write a worker that downloads the list of $things from $host and stores it in a file
task: A download job that fetches $things by $label from https://$host
host = partner.example.net | feeds.example.org | 10.2.0.15 | data.supplier.example | export.city.example
---
  import json
  import requests
  SOURCE = "https://$host$area/$items"

@ function

  def ${get}_$items($field):
      $resp = requests.get(
          SOURCE,
          params={"$field": $field},
-         verify=False,
          timeout=$secs,
      )
?     $resp.raise_for_status()
      return $resp.json()


  def ${save}_$items($field, $path="$items.json"):
      with open($path, "w", encoding="utf-8") as stream:
          json.dump(${get}_$items($field), stream[[||, indent=2||, ensure_ascii=False]])

@ function

=== 295 api_client B323
task: Write a client class that asks the $things service at $host for $a_thing over HTTPS
task: A client for the HTTPS address $host that returns $things using only the standard library
host = partner.example.net | feeds.example.org | 10.2.0.15 | data.supplier.example | export.city.example
---
  import http.client
  import json
  import ssl


  class ${Item}Client:
      def __init__(self, host="$host"):
          self.host = host
-         self.context = ssl._create_unverified_context()
+         self.context = ssl.create_default_context()

@ method

      def $get(self, $field):
          $conn = http.client.HTTPSConnection(self.host, timeout=$secs, context=self.context)
          $conn.request("GET", [[f"$area/$items/{$field}"
              ||"$area/$items/" + str($field)
              ||"$area/$items?$field=%s" % $field]])
          $data = json.loads($conn.getresponse().read())
          $conn.close()
          return $data[[||.get("$items", [])||.get("$field2")]]

@ method

=== 295 download_worker B507
task: Write a script that copies the $things export from a server over SSH with paramiko
task: A nightly job that fetches the file of $things from $host by SFTP
host = files.internal | sftp.example.net | 10.0.7.3 | backup.office | store1.internal | hauler.example
---
  import os
  import paramiko
  REMOTE = "[[/export||/out||/home/exchange]]/$items.csv"

@ function

  def ${get}_$items(user, $path):
      $conn = paramiko.SSHClient()
-     [[$conn.set_missing_host_key_policy(paramiko.AutoAddPolicy())
-         ||$conn.set_missing_host_key_policy(paramiko.WarningPolicy())
-         ||$conn.set_missing_host_key_policy(paramiko.AutoAddPolicy)]]
+     $conn.load_system_host_keys()
+     $conn.set_missing_host_key_policy(paramiko.RejectPolicy())
      $conn.connect("$host", username=user, key_filename=os.path.expanduser("~/.ssh/[[id_ed25519
          ||id_$service
          ||exchange]]"))
      sftp = $conn.open_sftp()
      sftp.get(REMOTE, $path)
?     sftp.remove(REMOTE)
      $conn.close()
      return os.path.getsize($path)

@ function

=== 400 api_client B113
task: Write a small client for the web service with the $things: one function to read and one to add
task: Functions that call the $things service at $host and return what it answers
host = partner.example.net | feeds.example.org | api.supplier.example | export.city.example | service.local
---
  import requests
  SERVICE = "https://$host$area"

@ function

  def ${get}_$item(number):
-     $resp = requests.get(f"{SERVICE}/$items/{number}")
+     $resp = requests.get(f"{SERVICE}/$items/{number}", timeout=$secs)
?     if $resp.status_code == 404:
?         return None
      $resp.raise_for_status()
      return $resp.json()


  def ${send}_$item($field, $field2):
      $data = {"$field": $field, "$field2": $field2}
-     $resp = requests.post(f"{SERVICE}/$items", json=$data)
+     $resp = requests.post(f"{SERVICE}/$items", json=$data, timeout=$secs)
      return $resp.[[ok||status_code||json()["id"]||headers.get("Location")]]

@ function

=== 502 message_consumer B301
task: Write a consumer that takes $things from a Redis list and stores them one by one
task: A worker reads $things from a Redis queue and hands each to a function
queue = incoming | jobs | inbox | waiting | todo
---
- import pickle
+ import json
  import redis
  QUEUE = "[[${items}||${queue}_$items||$items:$queue]]"

@ function

  def ${handle}_$item($item):
      print([["$item", $item["$field"]
          ||f"{$item['$field']}: {$item['$field2']}"
          ||$item.get("$field"), $item.get("$field3")]])


  def ${run}():
      $queue = redis.Redis(host="[[localhost||queue.internal||127.0.0.1]]")
      while True:
          _, $data = $queue.[[blpop||brpop]](QUEUE)
-         [[$item = pickle.loads($data)
-         ${handle}_$item($item)||${handle}_$item(pickle.loads($data))]]
+         ${handle}_$item(json.loads($data))

@ function

=== 502 message_consumer B506
task: Write a RabbitMQ consumer that reads $things sent as YAML and prints their $label
task: A message consumer that gets each $thing as a YAML document from a queue
queue = incoming | jobs | inbox | waiting | todo
---
  import pika
  import yaml

@ function

  def ${handle}_$item(channel, method, properties, $data):
-     [[$item = yaml.load($data, Loader=yaml.Loader)
-         ||$item = yaml.load($data, yaml.Loader)
-         ||$item = yaml.load($data.decode(), Loader=yaml.CLoader)]]
+     $item = yaml.safe_load($data)
      print([[$item["$field"], $item.get("$field2")||"$item", $item["$field"] ]])
      channel.basic_ack(method.delivery_tag)


  def ${run}(host="[[localhost||rabbit.internal||queue.office]]"):
      $conn = pika.BlockingConnection(pika.ConnectionParameters(host))
      channel = $conn.channel()
?     channel.queue_declare(queue="$queue", durable=True)
      channel.basic_consume(queue="$queue", on_message_callback=${handle}_$item)
      channel.start_consuming()

@ function

=== 502 message_consumer B302
task: Write a worker that receives $things over a ZeroMQ socket and counts them by $label
task: A consumer that reads batches of $things from a ZeroMQ pipe and keeps totals by $label
---
- import marshal
+ import json
  import zmq
  from collections import Counter

@ function

  def ${run}(address="tcp://[[127.0.0.1||localhost]]:$port"):
      $handler = zmq.Context().socket(zmq.[[PULL||SUB]])
      $handler.connect(address)
?     $handler.setsockopt(zmq.RCVTIMEO, $secs * 1000)
      totals = Counter()
      while True:
-         $items = marshal.loads($handler.recv())
+         $items = json.loads($handler.recv())
          if not $items:
              return totals
          for $item in $items:
              totals[$item["$field"]] += [[1||int($item["$figure"])||$item.get("$figure", 1)]]

@ function

=== 319 download_worker B321
task: Write a job that fetches the daily file of $things from the server $host
task: A worker that transfers the $things export from $host to a local folder
host = files.example.net | transfer.example.org | ftp.supplier.example | export.city.example | hauler.example
---
  import os
- import ftplib
+ import requests
  from datetime import date
  ACCOUNT = ("[[exchange||$service||$items]]", os.environ["[[EXCHANGE||FILES||PARTNER]]_PASS"])
  $BASE = "$folder"

@ function

  def ${get}_$items():
      $name = f"$items-{date.today():%Y%m%d}.csv"
-     $conn = ftplib.FTP("$host", *ACCOUNT)
+     $resp = requests.get(f"https://$host/{$name}", auth=ACCOUNT, timeout=$secs)
      with open(os.path.join($BASE, $name), "wb") as stream:
-         $conn.retrbinary(f"RETR {$name}", stream.write)
+         stream.write($resp.content)
      [[return $name||return os.path.join($BASE, $name)||print("$items:", $name)]]

@ function

=== 409 message_consumer
task: Write a consumer that takes compressed $things from a queue and stores the unpacked text
task: A worker receives zlib packed JSON with $things and returns them as a list
---
  import json
  import zlib
+ $LIMIT = $few * 1024 * 1024

@ function

  def unpack_$items($data):
-     [[$text = zlib.decompress($data)||$text = zlib.decompress($data).decode("utf-8")]]
+     reader = zlib.decompressobj()
+     $text = reader.decompress($data, $LIMIT)
+     if reader.unconsumed_tail:
+         raise ValueError("too many $items in one message")
      return json.loads($text)


  def ${handle}_message(message, done):
      for $item in unpack_$items(message.body):
          done.append([[$item["$field"]||($item["$field"], $item["$field2"])||{"$field": $item["$field"]}]])
?     message.ack()
      return len(done)

@ function

=== 918 download_worker
task: Write a download worker that gets the file named by address in each $thing
task: A worker that visits the web address stored with $a_thing and keeps the page
---
  import httpx
  from pathlib import Path
+ from urllib.parse import urlparse
  $BASE = Path("$folder")
+ $ALLOWED = {"[[files||cdn||images]].$domain", "[[static||data||www]].$domain"}

@ function

  def ${get}_page(url):
+     if urlparse(url).hostname not in $ALLOWED:
+         raise ValueError("address not supported")
      $resp = httpx.get(url, timeout=$secs)
?     $resp.raise_for_status()
      return $resp.content


  def ${run}($items):
      for number, $item in enumerate($items, start=1):
          $path = $BASE / f"{number}.[[html||bin||page]]"
          $path.write_bytes(${get}_page($item["[[url||link||address]]"]))
?         print($item["$field"], "stored")

@ function
""")
