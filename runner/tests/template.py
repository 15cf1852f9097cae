"""A template that has become a function's process, as far as that can be shown without a sandbox.

`template.py MODULE...`: what a real one does before and after it is copied, less the copying. Whatever
is random has the state it would have in every copy, so that two of these processes are as two copies of
one: none of it may reach a function.
"""

import sys

# Where a real one lies, beside the bootstrap.
sys.path[0] = sys.path[0].replace("/tests", "/python")

import bootstrap

import gc

bootstrap.be_copied(sys.argv[1:])
for name in ("random", "numpy.random"):
    if bootstrap.there(name) is not None:
        bootstrap.there(name).seed(7)
if bootstrap.there("uuid") is not None:
    bootstrap.there("uuid")._node = 7
if bootstrap.there("tempfile") is not None:
    names = bootstrap.there("tempfile")._get_candidate_names()
    # Of this process, by its id, which copies share.
    names.rng.seed(7)
if bootstrap.there("multiprocessing.process") is not None:
    bootstrap.there("multiprocessing.process").current_process().authkey = b"7"
gc.collect()
gc.freeze()
bootstrap.spare()
