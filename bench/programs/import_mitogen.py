# How long the import alone takes.
import json
import time

cpu = time.process_time()
start = time.perf_counter()
import mitogen.master
import mitogen.utils

value = time.perf_counter() - start
print(json.dumps({"value": value * 1000, "cpu": (time.process_time() - cpu) * 1000}))
