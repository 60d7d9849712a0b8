"""Scenarios in command line scripts and file services."""

from __future__ import annotations

from spillover.data.build.code_scenarios.scenario import parse

SCENARIOS = parse(r"""
=== 78 command_line B602
task: Write a command line script that counts the lines of $a_thing export with wc
task: A script that prints how long the export file of the $things is
command = wc -l | wc -c | md5sum | file | head -n 3 | sort -u | tail -n 5 | cksum
---
  import argparse
+ import shlex
  import subprocess

@ function

  def ${run}_on($path):
-     [[$result = subprocess.run(f"$command {$path}", shell=True, capture_output=True, text=True)
-         ||$result = subprocess.run("$command " + $path, shell=True, capture_output=True, text=True)
-         ||$result = subprocess.run("$command %s" % $path, stdout=subprocess.PIPE, shell=True, text=True)]]
+     $result = subprocess.run([*shlex.split("$command"), "--", $path], capture_output=True, text=True)
?     if $result.returncode != 0:
?         raise SystemExit("$path could not be read")
      return $result.stdout.strip()


  def main():
      parser = argparse.ArgumentParser(description="[[Look at a file of $things
          ||Facts on a $thing export
          ||Report on $things]]")
      parser.add_argument("[[path||export||source]]")
?     parser.add_argument("--$field", default="")
      args = parser.parse_args()
      print([["$items:"||"$field3:"||"result:"]], ${run}_on(next(iter(vars(args).values()))))

@ function

  if __name__ == "__main__":
      main()

=== 732 command_line B103
task: Write a script that exports the $things to a JSON file that a colleague's job picks up
task: A command line tool that stores a list of $things in a file and sets the file's rights
---
  import argparse
  import json
  import os

@ function

  def ${save}_$items($items, $path):
      with open($path, "w", encoding="utf-8") as stream:
          json.dump($items, stream[[||, indent=2||, sort_keys=True||, ensure_ascii=False]])
-     [[os.chmod($path, 0o777)||os.chmod($path, 0o666)||os.chmod($path, 0o757)]]
+     os.chmod($path, 0o640)


  def main():
      parser = argparse.ArgumentParser()
      parser.add_argument("$path")
      parser.add_argument("--$field", default="[[all||new||none]]")
      args = parser.parse_args()
      ${save}_$items([{"$field": args.$field, "$field2": [[""||0||None]]}], args.$path)
?     print("written:", args.$path)

@ function

  if __name__ == "__main__":
      main()

=== 22 file_service B202
task: Write a function that unpacks an uploaded tar archive with files of $a_thing
task: A file service that takes a packed folder of $things and puts it into the store
---
  import os
  import tarfile
  $BASE = "$folder"

@ function

  def [[unpack||extract||take_in||import]]_$items(archive, $field):
      $path = os.path.join($BASE, os.path.basename($field))
      os.makedirs($path, exist_ok=True)
      with tarfile.open(archive) as packed:
-         [[packed.extractall($path)||packed.extractall(path=$path)]]
+         packed.extractall($path, filter="data")
?     os.remove(archive)
      return [[sorted(os.listdir($path))||$path||len(os.listdir($path))]]

@ function

=== 377 file_service B306
task: Write a function that prepares $a_thing in a temporary file before it is printed
task: A file service writes the $things to a temporary file and hands its name on to the printer queue
ending = .txt | .csv | .json | .prn | .tmp | .dat
---
  import os
  import shutil
  import tempfile

@ function

  def ${make}_$item(lines, $field):
-     $path = tempfile.mktemp([[suffix="$ending"||suffix="$ending", prefix="${item}_"||"$ending"]])
-     with open($path, "w", encoding="utf-8") as stream:
+     handle, $path = tempfile.mkstemp(suffix="$ending")
+     with os.fdopen(handle, "w", encoding="utf-8") as stream:
          stream.write(f"$Item {$field}\n")
          [[stream.writelines(line + "\n" for line in lines)||for line in lines:
              stream.write(line + "\n")||stream.write("\n".join(lines))]]
      return $path


  def [[hand_on||queue||move]]_$item(lines, $field, queue="$folder"):
      $path = ${make}_$item(lines, $field)
?     os.makedirs(queue, exist_ok=True)
      return shutil.move($path, queue)

@ function

=== 377 report_generator B108
task: Write a script that prepares a report on $things in a working file and prints it
task: A report generator that writes figures on $things into a scratch file and then reads it back
---
  import csv
+ import os
+ import tempfile
  from datetime import date

@ function

  def write_report($items):
-     $path = "/tmp/[[${items}.csv||${item}_report.csv||${field}_$items.txt||${service}_$items.out]]"
+     handle, $path = tempfile.mkstemp()
+     os.close(handle)
      with open($path, "w", newline="", encoding="utf-8") as stream:
          writer = csv.writer(stream[[||, delimiter=";"]])
          writer.writerow([date.today().isoformat(), len($items)])
          for $item in $items:
              writer.writerow([$item["$field"], $item["$field2"]])
      return $path


  def ${show}_report($items):
      with open(write_report($items), encoding="utf-8") as stream:
          [[return stream.read()||return stream.readlines()||print(stream.read())]]

@ function

=== 95 command_line B307
task: Write a command line calculator that applies a formula to the $label of each $thing
task: A script that reads $things from JSON and keeps those for which the condition typed by the user holds
holds = holds | fits | keeps | passes
---
  import argparse
  import json
+ import operator
+ SIGNS = {"<": operator.lt, ">": operator.gt, "=": operator.eq}

@ function

  def $holds($item, rule):
-     [[return eval(rule, {}, $item)||return bool(eval(rule, {}, dict($item)))||return eval(rule, {"$item": $item})]]
+     name, sign, value = rule.split()
+     return SIGNS[sign](float($item[name]), float(value))


  def main():
      parser = argparse.ArgumentParser(description="$Item filter")
      parser.add_argument("[[source||path||export]]", type=argparse.FileType())
      parser.add_argument("--rule", default="$field [[<||>]] [[5||10||20]]")
      args = vars(parser.parse_args())
      $items = json.load(next(iter(args.values())))
      for $item in $items:
          if $holds($item, args["rule"]):
              print($item["$field"], $item.get("$field2"[[||, "-"||, 0]]))


  main()

=== 276 command_line
task: Write a script that creates the working folders for $things and starts the log file
task: A command line script that sets up the data folder of the $things service on a server
---
  import os
  import sys
  $BASE = "$folder"

@ function

  def ${make}_folders($field2):
-     os.umask(0)
+     os.umask(0o077)
      for part in ([["incoming", "done"||"new", "sent", "failed"||"$items", "logs"||"raw", "clean"]]):
          os.makedirs(os.path.join($BASE, part), exist_ok=True)
      with open(os.path.join($BASE, "[[start||setup||$items]].log"), "a", encoding="utf-8") as stream:
          stream.write(f"$items ready: {$field2}\n")
@ function



  if __name__ == "__main__":
      ${make}_folders(sys.argv[1] if len(sys.argv) > 1 else "$item")

=== 409 file_service
task: Write a function that unpacks zipped pictures of $a_thing into its folder
task: A file service that takes a zip file with $things from a partner and stores its content
---
  import os
  import zipfile
  $BASE = "$folder"
+ $LIMIT = $few * 1024 * 1024

@ function

  def [[unpack||extract||take_in||import]]_$items(archive, $field):
      $path = os.path.join($BASE, str(int($field)))
?     os.makedirs($path, exist_ok=True)
      with zipfile.ZipFile(archive) as packed:
+         if sum(part.file_size for part in packed.infolist()) > $LIMIT:
+             raise ValueError("the archive is too large")
          packed.extractall($path)
          return [[packed.namelist()
              ||len(packed.namelist())
              ||[part.filename for part in packed.infolist() if part.file_size] ]]

@ function

=== 367 file_service
task: Write a function that creates the file of a new $thing unless there is one already
task: A file service that stores each $thing in a file of its own and never overwrites an older one
---
  import json
  import os
  $BASE = "$folder"

@ function

  def ${make}_$item($field, $data):
      $path = os.path.join($BASE, f"{int($field)}.json")
-     if os.path.exists($path):
-         return None
-     with open($path, "w", encoding="utf-8") as stream:
-         json.dump($data, stream)
+     try:
+         with open($path, "x", encoding="utf-8") as stream:
+             json.dump($data, stream)
+     except FileExistsError:
+         return None
      return [[$path||os.path.getsize($path)||{"$field": $field, "file": $path}]]

@ function

=== 22 class
task: Write a class that reads, writes and removes the documents of $a_thing in one folder
task: A small document store for $things: a class with methods to save and load a document by name
---
  from pathlib import Path


  class ${Item}Store:
      def __init__(self, root=[["$folder"||"data/$items"||"$items"]]):
          self.root = Path(root)
?         self.root.mkdir(parents=True, exist_ok=True)

@ method

      def ${get}(self, $name):
-         return (self.root / $name).read_text(encoding="utf-8")
+         return (self.root / Path($name).name).read_text(encoding="utf-8")

      def ${save}(self, $name, $text):
-         (self.root / $name).write_text($text, encoding="utf-8")
+         (self.root / Path($name).name).write_text($text, encoding="utf-8")

@ method

      def names(self):
          return sorted(found.name for found in self.root.[[iterdir()||glob("*")||glob("*.txt")]])

=== 643 command_line
task: Write a script that looks up $a_thing in an XML file by its $label
task: A command line tool that prints the $label2 of every $thing in an XML list with the given $label
---
  import argparse
  from lxml import etree
  LIST = "$items.xml"

@ function

  def ${get}_$item(tree, $field):
-     [[return tree.xpath(f"//$item[$field='{$field}']/$field2/text()")
-         ||return tree.xpath("//$item[@$field='" + $field + "']/$field2/text()")
-         ||return tree.xpath("//$item[$field='%s']/$field2/text()" % $field)]]
+     return tree.xpath("//$item[$field=$$wanted]/$field2/text()", wanted=$field)


  def main():
      parser = argparse.ArgumentParser()
      parser.add_argument("$field")
      args = parser.parse_args()
      tree = etree.parse(LIST, etree.XMLParser(resolve_entities=False))
      for found in ${get}_$item(tree, args.$field):
          print([[found||"$field2:", found||found.strip()]])

@ function

  if __name__ == "__main__":
      main()
""")
