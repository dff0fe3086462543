"""What gnnrec survives: killed processes, full disks, many users at once, days of requests, and more.

    python -m benchmarks.trust [--only kill,disk,...] [--minutes 30] [--seed 0]

Each module with a function ``run(seed, seconds)`` is a harness. It tries as much as the time allows, and returns what
it tried, what was survived, and what was not.
"""
