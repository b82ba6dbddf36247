"""Runs the checks of a file against the server that OPIK_URL_OVERRIDE names, and says which of them fail.

A check is a function whose name starts with `check_`; it takes a client. `needs` leaves it out where the installed SDK
has no such method, and says so.
"""
import contextlib
import os
import sys
import time
import traceback
import uuid

# Nothing may leave the machine.
os.environ.update(
    OPIK_SENTRY_ENABLE="false",
    OPIK_ANALYTICS_ENABLE="false",
    OPIK_ENABLE_LITELLM_MODELS_MONITORING="false",
    LITELLM_LOCAL_MODEL_COST_MAP="True",
    OPIK_CONSOLE_LOGGING_LEVEL="ERROR",
    OPIK_SUPPRESS_BATCHING_UPDATE_WARNING="true",
    NO_COLOR="1",
    TERM="dumb",
)
os.environ.setdefault("OPIK_CONFIG_PATH", os.devnull)
os.environ.setdefault("OPIK_PROJECT_NAME", "wide")

import opik  # noqa: E402
from opik.rest_api.core.api_error import ApiError  # noqa: E402

PROJECT = os.environ["OPIK_PROJECT_NAME"]


def unique(word):
    return f"{word}-{uuid.uuid4().hex[:8]}"


def equal(left, right, what=""):
    assert left == right, f"{what}: {left!r} is not {right!r}"


def wait(ask, what="what was asked for", limit=60):
    """The first answer that counts as true."""
    end = time.time() + limit
    while True:
        with contextlib.suppress(ApiError):
            found = ask()
            if found:
                return found
        assert time.time() < end, f"{what} did not come within {limit} s"
        time.sleep(0.05)


def status(call, *args, **kwargs):
    """The status that a call fails with; None when it succeeds."""
    try:
        call(*args, **kwargs)
    except Exception as error:
        while error is not None and not isinstance(error, ApiError):
            error = error.__cause__ or error.__context__
        return error.status_code if error is not None else "no status"
    return None


def raises(kind, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def needs(*methods):
    """Leaves a check out where the client has not all of these methods."""

    def marked(check):
        check.needs = methods
        return check

    return marked


def main(module):
    wanted = sys.argv[1:]
    client = opik.Opik(project_name=PROJECT, _show_misconfiguration_message=False)
    done, failed = 0, []
    for name, check in list(vars(module).items()):
        if not name.startswith("check_") or (wanted and name not in wanted):
            continue
        missing = [it for it in getattr(check, "needs", ()) if not hasattr(client, it)]
        if missing:
            print(f"left out {name}: this SDK has no {', '.join(missing)}")
            continue
        started = time.time()
        try:
            check(client)
            done += 1
            if time.time() - started > 5:
                print(f"{name} took {time.time() - started:.1f} s")
        except BaseException:  # a command of the SDK ends by SystemExit
            failed.append(name)
            print(f"FAILED {name}\n{traceback.format_exc()}")
    client.end()
    if failed:
        print(f"{len(failed)} of {done + len(failed)} failed: {', '.join(failed)}")
        sys.exit(1)
    print(f"ok {done}")
