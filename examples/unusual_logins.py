"""Logins from unusual addresses: IP Insights' task on generated logins, or on your own log.

python examples/unusual_logins.py
python examples/unusual_logins.py logins.csv      # lines of account,address without a header
"""

import sys
import tempfile
from pathlib import Path

from object2vec import Object2Vec
from object2vec.evaluation import false_alarms
from object2vec.examples.logins import generate_logins, inject

folder = Path(tempfile.mkdtemp())
logins = generate_logins(accounts=1000, days=10, seed=0)
past, later = logins.take(logins.days < 7), logins.take(logins.days >= 7)
past.write(folder / "logins.csv")
log = sys.argv[1] if len(sys.argv) > 1 else folder / "logins.csv"

model = Object2Vec(in0="account", in1="address:ipv4", epochs=4)
model.fit(log, columns=["account", "address"])

# The score is the log odds that an access is real and not one from any address.
if len(sys.argv) == 1:
    attack = inject(later, 0.01, seed=0)  # known accounts, random addresses
    real, false = (model.predict(in0=x.names(), in1=x.dotted())[:, 0] for x in (later, attack))
    for recall in (0.95, 0.99):
        alarms = false_alarms(real, false, recall)
        print(f"{recall:.0%} of the attacks are found at {alarms:.1%} false alarms")
print("A model for `object2vec serve`:", folder / "model")
model.save(folder / "model")
