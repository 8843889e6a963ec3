"""Damaged input for a while: `make fuzz MINUTES=n`, or `python -m tests.fuzzing n [TARGET ...]`.

Every case must end with exit code 0 or 2 and one sentence, and leave all files as they were. The
cases run in processes of their own, with fresh seeds, so that a crash is a finding too; what was
found is shown and kept in the folder fuzz-findings. Exit code 1 where anything was.
"""

import collections
import json
import os
import pickle
import random
import subprocess
import sys
import tempfile
import time

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzzing.attempt import attempt
from tests.fuzzing.targets import TARGETS

CASES = 250
"""Cases of one process."""
PATIENCE = 600
FINDINGS = "fuzz-findings"


def child(name, number, count, path):
    """Runs `count` cases of one target; prints a line of JSON: the cases, and what was wrong."""
    done, wrong = collections.Counter(), {}

    @seed(int(number))
    @settings(
        max_examples=int(count),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(TARGETS[name]["files"])
    def run(content):
        with open(path, "wb") as file:  # in case this one ends the process
            pickle.dump(content, file)
        done["cases"] += 1
        problem = attempt(TARGETS[name]["use"], content)
        if problem is not None:
            wrong.setdefault(problem.splitlines()[0][:300], content)

    run()
    for problem, content in wrong.items():
        _keep(name, problem, content)
    print(json.dumps({"cases": done["cases"], "wrong": list(wrong)}))


def run_child(name, number, count=CASES):
    """Runs `child` as a process; returns (cases, list of what was wrong)."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "case")
        command = [sys.executable, "-m", "tests.fuzzing", "child", name, number, count, path]
        try:
            done = subprocess.run(
                list(map(str, command)), capture_output=True, text=True, timeout=PATIENCE
            )
            reason = f"the process ended with code {done.returncode}: {done.stderr[-300:]}"
        except subprocess.TimeoutExpired:
            done, reason = None, f"no answer within {PATIENCE} s"
        if done is not None and done.returncode == 0:
            answer = json.loads(done.stdout.splitlines()[-1])
            return answer["cases"], answer["wrong"]
        if os.path.exists(path):
            with open(path, "rb") as file:
                _keep(name, reason, pickle.load(file))
        return 0, [reason]


def _keep(name, problem, content):
    place = os.path.join(FINDINGS, f"{name}-{abs(hash(problem)) % 10**8}")
    os.makedirs(place, exist_ok=True)
    for file, data in {**content, "PROBLEM.txt": problem.encode()}.items():
        with open(os.path.join(place, file), "wb") as out:
            out.write(data)


def main(minutes, names):
    """Loops over the targets for so many minutes; returns the exit code."""
    end = time.monotonic() + 60 * float(minutes)
    cases, wrong = collections.Counter(), {}
    names = names or list(TARGETS)
    turn = 0
    while time.monotonic() < end:
        name = names[turn % len(names)]
        count, problems = run_child(name, random.randrange(2**32))
        cases[name] += count
        for problem in problems:
            if (name, problem) not in wrong:
                print(f"{name}: {problem}", flush=True)
            wrong[name, problem] = wrong.get((name, problem), 0) + 1
        turn += 1
    print(*(f"{name}: {count} cases" for name, count in cases.items()), sep="\n")
    print(f"{sum(cases.values())} cases, {len(wrong)} kinds of violations")
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1] == "child":
        child(*sys.argv[2:])
    else:
        sys.exit(main(sys.argv[1], sys.argv[2:]))
