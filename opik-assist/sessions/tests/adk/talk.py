"""Google's ADK 1.10 on a database of sessions: reads, appends, makes and deletes.

    talk.py read URI APP USER SESSION     prints the session as JSON
    talk.py append URI APP USER SESSION   appends an event with a state delta
    talk.py make URI APP USER SESSION     makes a session with two events
    talk.py delete URI APP USER SESSION   deletes it
"""

import asyncio
import json
import sys

from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.database_session_service import DatabaseSessionService
from google.genai import types


def said(author, text, delta=None):
    role = "user" if author == "user" else "model"
    return Event(
        invocation_id="e-python",
        author=author,
        content=types.Content(role=role, parts=[types.Part(text=text)]),
        actions=EventActions(state_delta=delta or {}),
    )


async def main(what, uri, app, user, session_id):
    service = DatabaseSessionService(uri)
    where = dict(app_name=app, user_id=user, session_id=session_id)
    if what == "make":
        session = await service.create_session(state={"made_by": "python"}, **where)
        await service.append_event(session, said("user", "first"))
        await service.append_event(session, said("agent", "second", {"count": 2}))
    elif what == "append":
        session = await service.get_session(**where)
        await service.append_event(session, said("agent", "from Python", {"python": True}))
    elif what == "delete":
        await service.delete_session(**where)
    session = await service.get_session(**where)
    if session is None:
        print("null")
        return
    events = [
        {
            "id": event.id,
            "author": event.author,
            "content": event.content.model_dump(exclude_none=True) if event.content else None,
            "delta": event.actions.state_delta,
            "error": event.error_code,
        }
        for event in session.events
    ]
    print(json.dumps({"state": session.state, "events": events}))


asyncio.run(main(*sys.argv[1:]))
