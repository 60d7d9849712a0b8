"""Scenarios in socket and HTTP servers."""

from __future__ import annotations

from spillover.data.build.code_scenarios.scenario import parse

SCENARIOS = parse(r"""
=== 605 socket_server B104
task: Write a socket server on port $port that answers with the $label of $a_thing
task: A small TCP server for programs on the same machine that ask for $things
---
  import socket
  $items = {}

@ function

  def answer(line):
      $item = $items.get(line.strip())
      return [[$item["$field"] if $item else "none"
          ||str($item or "-")
          ||f"{$item['$field']};{$item['$field2']}" if $item else ""]]


  def serve(port=$port):
      with socket.socket() as server:
?         server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
-         server.bind(("0.0.0.0", port))
+         server.bind(("127.0.0.1", port))
          server.listen([[||$secs]])
          while True:
              $handler, _ = server.accept()
              with $handler:
                  $handler.settimeout($secs)
                  $handler.sendall(answer($handler.recv(1024).decode()).encode())

@ function

=== 605 http_server B104
task: Write an HTTP server with the standard library that shows the number of $things to the local dashboard
task: A tiny web server that answers with the $things as JSON for a program next to it
---
  import json
  from http.server import BaseHTTPRequestHandler, HTTPServer
  $items = [{"$field": "", "$field2": [[0||""||None]]}]

@ function

  class ${Item}Page(BaseHTTPRequestHandler):
      def do_GET(self):
          $data = json.dumps([[$items||{"$items": len($items)}||{"count": len($items), "$items": $items}]]).encode()
          self.send_response(200)
          self.send_header("Content-Type", "application/json")
?         self.send_header("Content-Length", str(len($data)))
          self.end_headers()
          self.wfile.write($data)


  def serve(port=$port):
-     [[HTTPServer(("0.0.0.0", port), ${Item}Page).serve_forever()
-         ||server = HTTPServer(("0.0.0.0", port), ${Item}Page)
-     server.serve_forever()]]
+     HTTPServer(("127.0.0.1", port), ${Item}Page).serve_forever()

@ function

=== 502 socket_server B301
task: Write a socket server that takes $things from another program and keeps them in a list
task: A TCP server to which our branches send their $things; it stores what arrives
---
- import pickle
+ import json
  import socketserver
  $items = []

@ function

  class ${Item}Intake(socketserver.StreamRequestHandler):
      def handle(self):
          size = min(int.from_bytes(self.rfile.read(4)), 65536)
-         [[$item = pickle.loads(self.rfile.read(size))||$data = self.rfile.read(size)
-         $item = pickle.loads($data)]]
+         $item = json.loads(self.rfile.read(size))
          $items.append([[$item||($item["$field"], $item["$field2"])||{"$field": $item["$field"]}]])
          self.wfile.write([[b"ok"||str(len($items)).encode()||b"taken\n"]])


  def serve(port=$port):
      with socketserver.TCPServer(("localhost", port), ${Item}Intake) as server:
          server.serve_forever()

@ function

=== 78 socket_server B605
task: Write a socket server that reports how much room the folder of $a_thing takes
task: A TCP service for the office network that lists the files of the $thing asked for
command = ls -l | du -sh | stat | ls -1 | wc -c | file | find
---
  import os
+ from pathlib import Path
  import socketserver
  $BASE = "$folder"

@ function

  def report_on($field):
-     [[return os.popen(f"$command {$BASE}/{$field}").read()
-         ||return os.popen("$command " + $BASE + "/" + $field).read()
-         ||with os.popen("$command %s/%s" % ($BASE, $field)) as found:
-         return found.read()]]
+     return "\n".join(f"{found.name} {found.stat().st_size}" for found in Path($BASE, Path($field).name).iterdir())


  class ${Item}Desk(socketserver.StreamRequestHandler):
      def handle(self):
          $field = self.rfile.readline(200).decode().strip()
?         if not $field:
?             return
          self.wfile.write(report_on($field).encode())


  def serve(port=$port):
      os.chdir($BASE)
      with socketserver.[[TCPServer||ThreadingTCPServer]](("localhost", port), ${Item}Desk) as server:
          server.serve_forever()

@ function

=== 327 socket_server B502
task: Write a socket server with TLS that answers with the $label of $things
task: A TLS server for the exchange of $things with certificate files in a folder
---
  import socket
  import ssl
  from OpenSSL import SSL
  $BASE = "$folder"

@ function

  def context():
-     [[made = SSL.Context(method=SSL.TLSv1_METHOD)
-         ||made = SSL.Context(method=SSL.SSLv3_METHOD)
-         ||made = SSL.Context(method=SSL.SSLv23_METHOD)]]
+     made = SSL.Context(SSL.TLS_METHOD)
+     made.set_min_proto_version(SSL.TLS1_2_VERSION)
      made.use_certificate_file($BASE + "/[[server||$service||$items]].crt")
      made.use_privatekey_file($BASE + "/[[server||$service||$items]].key")
      return made


  def serve($items, port=$port):
      server = SSL.Connection(context(), socket.create_server(("localhost", port)))
      while True:
          $handler, _ = server.accept()
          $field = $handler.recv(256).decode()
          $handler.sendall(str($items.get($field[[||, "none"||, ""]])).encode())
          $handler.close()

@ function

=== 113 http_server
task: Write an HTTP server that leads a visitor on to the page of $a_thing and repeats the chosen $label in a header
task: A small web server with the standard library that marks each answer with the $label of the $thing asked for
---
  from http.server import BaseHTTPRequestHandler, HTTPServer
  from urllib.parse import parse_qs, urlsplit

@ function

  class ${Item}Page(BaseHTTPRequestHandler):
      def do_GET(self):
          asked = parse_qs(urlsplit(self.path).query)
          $field = asked.get("$field", ["[[none||all||new]]"])[0]
          self.send_response(200)
-         self.send_header("X-$Item", $field)
+         self.send_header("X-$Item", $field.replace("\r", "").replace("\n", ""))
?         self.send_header("Cache-Control", "no-store")
          self.end_headers()
          self.wfile.write(b"[[ok||$items||done]]")
@ function



  if __name__ == "__main__":
      HTTPServer(("[[127.0.0.1||localhost]]", $port), ${Item}Page).serve_forever()

=== 770 http_server
task: Write an HTTP server that takes $a_thing as JSON by POST and keeps it
task: A web server with the standard library to which programs send their $things
---
  import json
  from http.server import BaseHTTPRequestHandler, HTTPServer
  $items = []
+ $LIMIT = $few * 1024

@ function

  class ${Item}Intake(BaseHTTPRequestHandler):
      def do_POST(self):
          size = int(self.headers["Content-Length"])
+         if size > $LIMIT:
+             self.send_error(413)
+             return
          $item = json.loads(self.rfile.read(size))
          $items.append([[$item
              ||{"$field": $item["$field"], "$field2": $item.get("$field2")}
              ||($item["$field"], $item)]])
          self.send_response(201)
          self.end_headers()
?         self.wfile.write(str(len($items)).encode())


  def serve(port=$port):
      HTTPServer(("localhost", port), ${Item}Intake).serve_forever()

@ function
""")
