"""Names for the programs: things with their fields, and ways to call what every program has."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

# Thing, plural, fields. Fields are text or number columns that any table of such things could have.
_THINGS = """
invoice invoices number customer amount due_date currency
parcel parcels tracking_code sender weight destination carrier
booking bookings guest room arrival departure nights
recipe recipes title cuisine servings author duration
ticket tickets subject priority assignee queue reporter
sensor sensors serial room unit threshold vendor
vehicle vehicles plate model mileage driver depot
course courses title teacher credits term level
patient patients surname ward birth_year doctor insurer
article articles headline section author words language
product products sku brand price stock colour
shipment shipments reference origin port container weight
employee employees surname department badge manager grade
playlist playlists title owner_name genre tracks mood
concert concerts artist venue seats price city
meter meters serial street reading tariff installed
contract contracts party start_date end_date value region
project projects code sponsor budget phase city
warehouse warehouses code city capacity manager climate
donation donations donor campaign amount currency channel
survey surveys topic region responses panel language
machine machines serial hall operator hours vendor
flight flights number origin gate airline delay
plant plants species bed height soil supplier
photo photos caption album camera width place
podcast podcasts title host_name episode minutes feed
auction auctions lot seller opening_bid category city
claim claims policy claimant amount adjuster region
lesson lessons topic tutor pupil minutes level
tenant tenants surname flat rent deposit building
museum museums city curator rooms founded theme
bicycle bicycles frame_number station gears colour condition
garment garments size fabric colour season supplier
voucher vouchers code campaign discount shop expiry
meeting meetings topic room organiser minutes agenda
repair repairs device technician fault cost status
subscription subscriptions plan customer price period channel
match matches home_team away_team stadium round referee
prescription prescriptions drug dose doctor pharmacy repeats
exhibit exhibits title gallery artist year material
orchard orchards parish variety trees yield_kg owner_name
crate crates barcode shelf weight supplier aisle
membership memberships number plan holder branch fee
trip trips driver distance origin destination fare
essay essays title pupil words grade subject
festival festivals town stage headliner capacity season
boat boats hull_number berth length_m skipper harbour
quote quotes reference customer total sales_rep region
job_offer job_offers title company city salary grade
work_order work_orders number machine_name technician hours site
blood_test blood_tests sample_code marker laboratory ward doctor
delivery_note delivery_notes number haulier pallets dock warehouse
timesheet timesheets worker week hours site rate
lab_result lab_results sample_code analyst reading method batch
bus_route bus_routes number terminus stops operator zone
budget_line budget_lines department account amount quarter owner_name
news_item news_items headline section editor words language
spare_part spare_parts sku machine_name stock bin_code vendor
phone_call phone_calls caller agent minutes topic queue
star_map star_maps region catalogue magnitude observer year
"""

# The fields that are numbers: what is added up is one of these.
_FIGURES = """
amount weight nights servings duration threshold mileage credits price stock words seats reading tariff value budget
capacity responses hours delay height width minutes opening_bid rent deposit rooms gears size discount fee cost dose
repeats trees yield_kg distance fare pupils length_m total salary pallets stops magnitude
"""

_WAYS = {
    "get": "get fetch load find read lookup retrieve pull",
    "save": "save store record keep persist put",
    "make": "build make create prepare compose generate produce",
    "run": "run execute start launch perform do",
    "remove": "delete remove drop discard erase",
    "check": "check verify confirm validate test",
    "show": "show view display present page_for",
    "handle": "handle process consume on accept treat",
    "send": "send deliver post dispatch forward push",
    "data": "data payload body content parsed fields_in",
    "result": "result outcome found answer value output",
    "text": "text page markup out rendered lines_out",
    "path": "path target location full_path file_path source_path",
    "conn": "conn connection db database link session_db",
    "cur": "cur cursor c query_cursor crs",
    "row": "row record entry hit match_row",
    "rows": "rows records entries hits results",
    "log": "logger log journal audit_log",
    "resp": "response resp reply r",
    "user": "user account member person login_name",
    "name": "name label filename entry_name wanted requested",
    "term": "term query text_in phrase needle search_for",
    "value": "value given supplied entered raw",
    "key": "key material app_key k",
    "size": "size length count total_bytes",
    "handler": "client conn_in peer channel",
    "BASE": "BASE_DIR DATA_DIR ROOT STORAGE_DIR FILES_DIR MEDIA_DIR ARCHIVE_DIR HOME_DIR",
    "LIMIT": "LIMIT MAX_BYTES MAX_SIZE CEILING BYTE_LIMIT",
    "ALLOWED": "ALLOWED KNOWN ACCEPTED PERMITTED SUPPORTED",
    "folder": "/srv/app/files /var/lib/portal/data /opt/service/storage /srv/share /var/data/archive /home/app/media",
    "database": "app.db data.db store.sqlite records.db main.sqlite3 office.db",
    "port": "5000 8000 8080 8888 9000 5050 7000 8090 3000 6060",
    "secs": "5 8 10 12 15 20 30",
    "few": "10 20 25 30 40 50 100",
    "domain": "example.org example.com internal.example company.example city.example shop.example",
    "area": "/api /v1 /api/v1 /internal /service /office",
    "secret": "lantern Maple77 bluebird harvest2 Sunrise19 oakleaf pepper4 Winter08 marigold gr4nite tulip31 Meadow5",
    "service": "portal office intake ledger gateway desk hub registry planner console",
}


class WordDraw:
    """Words by slot name, drawn on first use and kept for the row; two slots of a row never get the same word."""

    def __init__(self, rng: random.Random, own: Mapping[str, tuple[str, ...]], taken: Iterable[str]) -> None:
        self._rng, self._own = rng, own
        # Names the program text uses already: a drawn name must not stand for two things.
        self._taken = set(taken)
        self._drawn: dict[str, str] = {}
        self._draw_thing()

    def __getitem__(self, slot: str) -> str:
        """Return the word for a slot; raises KeyError where neither the scenario nor this file has such a slot."""
        if slot not in self._drawn:
            words = self._own[slot] if slot in self._own else tuple(_WAYS[slot].split())
            free = [word for word in words if word not in self._taken]
            self._keep(slot, self._rng.choice(free or list(words)))
        return self._drawn[slot]

    def _keep(self, slot: str, word: str) -> None:
        self._drawn[slot] = word
        self._taken.add(word)

    def _draw_thing(self) -> None:
        things = [line.split() for line in _THINGS.strip().splitlines()]
        free = [[*t[:2], *(field for field in t[2:] if field not in self._taken)] for t in things]
        fitting = [t for t in free if len(t) >= 5 and self._taken.isdisjoint(t[:2])]
        thing, plural, *fields = self._rng.choice(fitting)
        self._keep("item", thing)
        self._keep("items", plural)
        self._drawn |= {
            "Item": "".join(part.capitalize() for part in thing.split("_")),
            "ITEM": thing.upper(),
            "ITEMS": plural.upper(),
            "thing": thing.replace("_", " "),
            "a_thing": ("an " if thing[0] in "aeio" else "a ") + thing.replace("_", " "),
            "things": plural.replace("_", " "),
        }
        for slot, field in zip(("field", "field2", "field3"), self._rng.sample(fields, 3), strict=True):
            self._keep(slot, field)
            self._drawn[slot.replace("field", "label")] = field.replace("_", " ")
        figures = [field for field in fields if field in _FIGURES.split() and field not in self._drawn.values()]
        self._keep("figure", self._rng.choice(figures or ["quantity"]))
        self._drawn["count"] = self._drawn["figure"].replace("_", " ")
