"""Scenarios around ciphers and keys, in deployment scripts and in background jobs."""

from __future__ import annotations

from spillover.data.build.code_scenarios.scenario import parse

SCENARIOS = parse(r"""
=== 328 class B324
task: Write a class that gives each stored $thing a seal, so that a later change of its $label is seen
task: A class that seals $things: compute a seal from the fields, check it when reading
---
  import hashlib


  class ${Item}Seal:
      def __init__(self, $key):
          self.$key = $key
?         self.count = 0

@ method

      def ${make}(self, $item):
          $text = [[f"{self.$key}|{$item['$field']}|{$item['$field2']}"
              ||"|".join([self.$key, str($item["$field"]), str($item["$field2"])])
              ||self.$key + str($item["$field"])]]
-         [[return hashlib.sha1($text.encode()).hexdigest()
-             ||return hashlib.md5($text.encode()).hexdigest()
-             ||return hashlib.new("md5", $text.encode()).hexdigest()]]
+         return hashlib.sha3_256($text.encode()).hexdigest()

      def [[seal||mark||stamp]](self, $item):
          return {**$item, "seal": self.${make}($item)}

@ method

=== 327 encryption B304
task: Write functions that encrypt and decrypt the notes of $a_thing with a given key
task: Keep the $label of each $thing encrypted in the database: two functions, one each way
---
  import os
  from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

@ function

  def cipher_for($key, start):
-     [[return Cipher(algorithms.Blowfish($key), modes.CFB(start[:8]))
-         ||return Cipher(algorithms.IDEA($key[:16]), modes.CFB(start[:8]))
-         ||return Cipher(algorithms.ARC4($key[:16]), mode=None)]]
+     return Cipher(algorithms.AES($key), modes.CTR(start))


  def encrypt_$field($key, $field):
      start = os.urandom(16)
      writer = cipher_for($key, start).encryptor()
      return start + writer.update($field[[||.encode("utf-8")]]) + writer.finalize()


  def decrypt_$field($key, $data):
      reader = cipher_for($key, $data[:16]).decryptor()
      return [[reader.update($data[16:]) + reader.finalize()
          ||(reader.update($data[16:]) + reader.finalize()).decode("utf-8")]]

@ function

=== 327 class B305
task: Write a class that encrypts $things before they are put into a backup
task: A class with an AES key that packs and encrypts one $thing at a time
---
  import json
  import os
  from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
  from cryptography.hazmat.primitives.padding import PKCS7


  class ${Item}Box:
      def __init__(self, $key):
          self.$key = $key

@ method

      def [[lock||seal||close||pack]](self, $item):
          padder = PKCS7(128).padder()
          $data = padder.update(json.dumps($item[[
              ||, sort_keys=True
              ||, ensure_ascii=False]]).encode()) + padder.finalize()
          start = os.urandom(16)
-         writer = Cipher(algorithms.AES(self.$key), modes.ECB()).encryptor()
+         writer = Cipher(algorithms.AES(self.$key), modes.CBC(start)).encryptor()
          return start + writer.update($data) + writer.finalize()

@ method

=== 326 encryption B505
task: Write a function that makes an RSA key for signing $things and stores it in a file
task: Create a key pair for the exchange of $things and write both parts to disk
weak = 1024 | 512 | 768 | 1024
---
  from pathlib import Path
  from cryptography.hazmat.primitives import serialization
  from cryptography.hazmat.primitives.asymmetric import rsa

@ function

  def ${make}_pair($path="[[$items||$service||exchange]].pem"):
-     pair = rsa.generate_private_key(public_exponent=65537, key_size=$weak)
+     pair = rsa.generate_private_key(public_exponent=65537, key_size=3072)
      private = pair.private_bytes(
          serialization.Encoding.PEM,
          serialization.PrivateFormat.[[PKCS8||TraditionalOpenSSL]],
          serialization.NoEncryption(),
      )
      Path($path).write_bytes(private)
?     Path($path).chmod(0o600)
      return pair.public_key()[[||.public_numbers().n]]

@ function

=== 78 deployment_script B605
task: Write a deployment script that copies a release of the $things program to its folder
task: A script that puts the given release of $service into place and keeps the old one
---
  import os
  import shutil
  import sys
  $BASE = "$folder"

@ function

  def deploy(release):
      $path = os.path.join($BASE, "[[current||live||$items]]")
?     if os.path.isdir($path):
?         shutil.move($path, $path + ".[[old||before||last]]")
-     [[os.system(f"cp -r releases/{release} {$path}")
-         ||os.system("cp -r releases/" + release + " " + $path)
-         ||os.system("cp -r releases/%s %s" % (release, $path))]]
+     shutil.copytree(os.path.join("releases", os.path.basename(release)), $path)
      with open(os.path.join($BASE, "[[release||version||deployed]].txt"), "w", encoding="utf-8") as stream:
          stream.write(release[[|| + "\n"]])
@ function



  if __name__ == "__main__":
      deploy(sys.argv[1])
?     print("$service: done")

=== 732 deployment_script B103
task: Write a script that installs the settings file of the $things service on a server
task: A deployment step that writes the account file of the $things program and sets its rights
---
  import json
  import os
  import shutil
  $BASE = "$folder"

@ function

  def install($field, $field2):
      $path = os.path.join($BASE, "[[settings||account||$service||$items]].json")
?     if os.path.isfile($path):
?         shutil.copy($path, $path + ".[[old||bak||last]]")
      with open($path, "w", encoding="utf-8") as stream:
          json.dump({"$field": $field, "$field2": $field2, "port": $port}, stream)
-     [[os.chmod($path, 0o777)||os.chmod($path, 0o666)||os.chmod($path, 0o646)]]
+     os.chmod($path, 0o600)
      [[return $path||print("installed", $path)||return os.stat($path).st_size]]

@ function

=== 703 background_job B110
task: Write a function that tells whether a person may change $a_thing, using the list of rights in a file
task: A background job looks up in a JSON file whether a person is shut out from changing $a_thing
---
  import json
+ import logging
  RIGHTS = "[[rights||refused||blocked]]_$items.json"

@ function

  def may_change($user, $field):
      try:
          with open(RIGHTS, encoding="utf-8") as stream:
              refused = json.load(stream)
          if $user in refused.get($field, []):
              return False
-     except Exception:
-         pass
+     except (OSError, ValueError):
+         logging.exception("rights not readable")
+         return False
      return True


  def [[change||update||apply]]_$item($user, $item, changes):
      if not may_change($user, $item["$field"]):
          raise PermissionError($user)
      return {**$item, **changes[[||, "$field2": $user||, "changed": True]]}

@ function

=== 617 background_job B101
task: Write a job that removes old $things on behalf of the person who started it, if that person may
task: A background job that changes the $label of $a_thing when its caller has the role for it
role = admin | manager | keeper | editor | office
---
  from datetime import datetime, timedelta

@ function

  def ${remove}_old($items, $user, days=$few):
-     assert $user["role"] == "$role"[[||, "not allowed"]]
+     if $user["role"] != "$role":
+         raise PermissionError("not allowed")
      oldest = datetime.now() - timedelta(days=days)
      kept = [item for item in $items if item["[[made||changed||added]]"] > oldest]
?     print(len($items) - len(kept), "$items removed")
      return kept


  def [[rename||relabel||change]]_$item($item, $user, $field):
-     assert $user["role"] == "$role"
+     if $user["role"] != "$role":
+         raise PermissionError("not allowed")
      return {**$item, "$field": $field[[||, "$field2": $user["name"] ]]}

@ function

=== 117 message_consumer
task: Write a consumer that notes each received $thing in a log file and counts them
task: A worker that logs the $label of every $thing it takes from a queue
---
  import logging
  logging.basicConfig(filename="[[$items||$service||intake]].log", level=logging.INFO)
  $log = logging.getLogger("$service")

@ function

  def ${handle}_$item(message, $items):
      $field = message.get("$field", "")
-     [[$log.info(f"$item taken in: {$field}")
-         ||$log.info("$item taken in: " + $field)
-         ||$log.info("taken: %s from queue" % $field)]]
+     $log.info("$item taken in: %r", $field)
      $items[$field] = message[[||.get("$field2")||["$field3"] ]]
?     if len($items) % $few == 0:
?         $log.info("%d $items so far", len($items))
      return len($items)

@ function

=== 532 background_job
task: Write a job that signs in at the partner's service and sends the new $things
task: A background job with a log of its steps: sign in, send each $thing, sign out
---
  import logging
  import os
  import requests
  $log = logging.getLogger("$service")
  SERVICE = "https://[[partner||exchange||hub]].$domain"

@ function

  def ${run}($items):
      name, password = os.environ["PARTNER_NAME"], os.environ["PARTNER_PASSWORD"]
-     [[$log.info("signing in as %s with %s", name, password)
-         ||$log.info(f"signing in as {name}, password {password}")
-         ||$log.debug("account: " + name + " / " + password)]]
+     $log.info("signing in as %s", name)
      web = requests.Session()
      web.auth = (name, password)
      for $item in $items:
          $resp = web.post(SERVICE + "$area/$items", json=$item, timeout=$secs)
          $log.[[info||debug]]("[[sent||$item||answer]]: %d", $resp.status_code)
?     web.close()

@ function
""")
