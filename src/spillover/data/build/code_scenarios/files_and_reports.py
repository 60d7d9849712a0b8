"""Scenarios in configuration loaders, report generators and mail senders."""

from __future__ import annotations

from spillover.data.build.code_scenarios.scenario import parse

SCENARIOS = parse(r'''
=== 502 config_loader B506
task: Write a loader for the YAML settings of the $things service with defaults
task: Read the configuration file of a program that manages $things and fill in what is missing
file = settings.yaml | config.yml | $service.yaml | $items.yml | app.yaml
---
  from pathlib import Path
  import yaml
  DEFAULTS = {"$field": [["all"||"none"||0]], "port": $port, "[[retries||workers||page_size]]": $secs}

@ function

  def ${get}_settings($path="$file"):
?     if not Path($path).exists():
?         return dict(DEFAULTS)
      with open($path, encoding="utf-8") as stream:
-         [[given = yaml.load(stream, Loader=yaml.Loader) or {}
-             ||given = yaml.load(stream, yaml.Loader) or {}
-             ||given = yaml.load(stream.read(), Loader=yaml.CLoader) or {}]]
+         given = yaml.safe_load(stream) or {}
      return [[{**DEFAULTS, **given}||DEFAULTS | given]]

@ function

=== 502 class B301
task: Write a class that caches $things on disk and loads them again at the next start
task: A cache class for $things: put, take, and keep between runs in one file
---
- import pickle
+ import json
  from pathlib import Path


  class ${Item}Cache:
      def __init__(self, $path="[[$items||${item}_cache||$service]].cache"):
          self.$path = Path($path)
          self.known = {}
?         self.hits = 0

@ method

      def load(self):
          if self.$path.exists():
-             [[self.known = pickle.loads(self.$path.read_bytes())||with self.$path.open("rb") as stream:
-                 self.known = pickle.load(stream)]]
+             self.known = json.loads(self.$path.read_bytes())
          return self

      def keep(self, $field, $item):
          self.known[$field] = $item
-         self.$path.write_bytes(pickle.dumps(self.known))
+         self.$path.write_bytes(json.dumps(self.known).encode())

@ method

=== 259 config_loader B105
task: Write the settings module of the $things service with its mail server and database
task: A module with the configuration of a program on $things: addresses, ports, account
---
  import os
  from dataclasses import dataclass

@ function

  MAIL_HOST = "mail.$domain"
  MAIL_PORT = [[587||465||2525]]
- [[MAIL_PASSWORD = "$secret"||MAIL_PASSWORD = "$secret$few"||MAIL_PASSWORD = "$few-$secret"]]
+ MAIL_PASSWORD = os.environ.get("MAIL_PASSWORD", "")
  $BASE = os.environ.get("$ITEMS", "$folder")


  @dataclass
  class Settings:
      $field: str = "[[all||none||new]]"
      port: int = $port
      timeout: int = $secs


  def mail_account():
      return [["$service@$domain", MAIL_PASSWORD
          ||{"host": MAIL_HOST, "port": MAIL_PORT, "password": MAIL_PASSWORD}
          ||(MAIL_HOST, MAIL_PORT, MAIL_PASSWORD)]]

@ function

=== 776 config_loader B314
task: Write a function that reads $things from an XML file sent by a partner
task: An import of $things from XML: return a list of dictionaries with $label and $label2
---
- import xml.etree.ElementTree as ElementTree
+ import defusedxml.ElementTree as ElementTree

@ function

  def ${get}_$items($text):
-     root = ElementTree.fromstring($text)
+     root = ElementTree.fromstring($text)
      $items = []
      for part in root.[[iter||findall]]("$item"):
          $items.append({"$field": part.findtext("$field"), [["$field2": part.get("$field2")
              ||"$field2": part.findtext("$field2", "")
              ||"$field3": part.get("$field3", "")]]})
?     $items.sort(key=lambda found: found["$field"])
      return $items

@ function

=== 776 message_consumer B314
task: Write a reader for large XML messages that counts the $things in them by $label
task: A consumer of XML messages with $things that goes through them element by element
---
- from xml.etree.ElementTree import iterparse
+ from defusedxml.ElementTree import iterparse
  import io

@ function

  def count_$items(message):
      found = {}
      for _, part in iterparse(io.BytesIO(message)[[||, events=("end",)]]):
          if part.tag == "$item":
              $field = part.get("$field", "[[none||-||other]]")
              found[$field] = found.get($field, 0) + [[1||int(part.get("$figure", 1))]]
?             part.clear()
      return found


  def ${handle}_message(message):
      for $field, number in [[count_$items(message).items()||sorted(count_$items(message).items())]]:
          print([[$field, number||f"{$field}: {number}"||number, "$items", $field]])

@ function

=== 776 report_generator B318
task: Write a report on the $things in an XML document that arrives by upload
task: A report generator that takes an XML text with $things and prints one line for each
---
- from xml.dom import minidom
+ from defusedxml import minidom

@ function

  def report($text):
-     document = minidom.parseString($text)
+     document = minidom.parseString($text, forbid_dtd=True)
      lines = []
      for part in document.getElementsByTagName("$item"):
          $field = part.getAttribute("$field")
          [[lines.append(f"{$field:<30}{part.getAttribute('$field2')}")
              ||lines.append($field + "; " + part.getAttribute("$field2"))
              ||lines.append((part.getAttribute("$field3"), $field))]]
?     lines.sort()
      return lines

@ function

=== 611 file_service
task: Write an import of $things from an XML file with lxml
task: A file service that opens an XML list of $things and returns each $label
---
  from lxml import etree

@ function

  def ${get}_$items($path):
-     [[parser = etree.XMLParser(resolve_entities=True, no_network=False)
-         ||parser = etree.XMLParser(resolve_entities=True)
-         ||parser = etree.XMLParser(no_network=False, remove_blank_text=True, resolve_entities=True)]]
+     parser = etree.XMLParser(resolve_entities=False, no_network=True)
      tree = etree.parse($path, parser)
?     if tree.getroot().tag != "$items":
?         raise ValueError("not a list of $things")
      found = []
      for part in tree.iter("$item"):
          [[found.append(part.findtext("$field"))
              ||found.append((part.get("$field"), part.findtext("$field2")))
              ||found.append({"$field": part.get("$field"), "$field3": part.get("$field3", "")})]]
      return found

@ function

=== 79 report_generator B701
task: Write an HTML report on $things with a Jinja template
task: A report generator that fills a Jinja page with a table of $things
---
  from jinja2 import DictLoader, Environment
  PAGE = """<h1>[[$Item report||All $things||$things by $field]]</h1>
  <table>{% for $item in $items %}
  <tr><td>{{ $item.$field }}</td><td>{{ $item.$field2 }}</td></tr>
  {% endfor %}</table>"""

@ function

  def report($items[[||, heading="$service"]]):
-     [[pages = Environment(loader=DictLoader({"$items": PAGE}))
-         ||pages = Environment(loader=DictLoader({"$items": PAGE}), autoescape=False)]]
+     pages = Environment(loader=DictLoader({"$items": PAGE}), autoescape=True)
      return pages.get_template("$items").render($items=$items)


  def write_report($items, $path="[[$items||report||${item}_report]].html"):
      with open($path, "w", encoding="utf-8") as stream:
          stream.write(report($items))
?     return $path

@ function

=== 1236 report_generator
task: Write an export of the $things that customers entered to a CSV file for a spreadsheet
task: A function that writes $things to CSV with $label, $label2 and $label3
---
  import csv
+ def plain(value):
+     return "'" + str(value) if str(value).startswith(("=", "+", "-", "@")) else value

@ function

  def export_$items($items, $path="[[$items||export||${item}_list]].csv"):
      with open($path, "w", newline="", encoding="utf-8") as stream:
          writer = csv.writer(stream[[||, delimiter=";"||, quoting=csv.QUOTE_ALL]])
          writer.writerow(["$field", "$field2", "$field3"])
          for $item in $items:
-             writer.writerow([$item["$field"], $item["$field2"], $item["$field3"]])
+             writer.writerow([plain($item["$field"]), plain($item["$field2"]), plain($item["$field3"])])
      return [[$path||len($items)||{"file": $path, "$items": len($items)}]]

@ function

=== 134 report_generator
task: Write a function that fills a letter text written by the user with the values of $a_thing
task: A report generator where office staff write the line for each $thing themselves
---
+ from string import Template
  import os
  $BASE = "$folder"


  class $Item:
      def __init__(self, $field, $field2):
          self.$field = $field
          self.$field2 = $field2

@ function

  def ${make}_letter(layout, $item):
-     [[return layout.format($item=$item)||$text = layout.format($item=$item, $field=$item.$field)
-     return $text]]
+     return Template(layout).safe_substitute($field=$item.$field, $field2=$item.$field2)


  def ${make}_all(layout, $items):
      for number, $item in enumerate($items, 1):
          with open(os.path.join($BASE, f"{number}.txt"), "w", encoding="utf-8") as stream:
              stream.write(${make}_letter(layout, $item)[[||.strip()|| + "\n"]])

@ function

=== 93 mail_sender
task: Write a function that mails a note on $a_thing with a subject line given by the sender
task: Send a mail about $a_thing to an address over the mail server of the office
---
  import smtplib
+ from email.message import EmailMessage
  SENDER = "$service@$domain"

@ function

  def ${send}_note(address, subject, $field):
-     [[$text = f"From: {SENDER}\r\nTo: {address}\r\nSubject: {subject}\r\n\r\n$Item: {$field}"
-         ||$text = "From: " + SENDER + "\r\nTo: " + address + "\r\nSubject: " + subject + "\r\n\r\n" + $field
-         ||$text = "Subject: %s\r\nTo: %s\r\n\r\n%s" % (subject, address, $field)]]
+     $text = EmailMessage()
+     $text["From"] = SENDER
+     $text["To"] = address
+     $text["Subject"] = " ".join(subject.split())
+     $text.set_content(f"$Item: {$field}")
      with smtplib.SMTP("mail.$domain", [[25||587||2525]], timeout=$secs) as $conn:
?         $conn.starttls()
-         $conn.sendmail(SENDER, [address], $text)
+         $conn.send_message($text)
?     return address

@ function
''')
