"""Whether anything changed: a stream of the API's changes, followed in the background."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from ._errors import LlmplaneError, brief
from ._events import Beat, Event

if TYPE_CHECKING:
    from ._sync.client import Client

log = logging.getLogger("llmplane")
KINDS = ("LlmProvider", "LlmEndpoint", "LlmCredential", "LlmModel", "LlmModelClass")


class Changes:
    """Counts the changes of the namespaces that are followed. Whoever notes the count knows whether there were any.

    It ends with its owner: the thread holds no reference to it while it waits.
    """

    def __init__(self, open_client: Callable[[], Client] | None) -> None:
        self.count = 0
        self._open_client = open_client
        self._lock = threading.Lock()
        # Whether the stream of each is there now.
        self._followed: dict[str, bool] = {}
        self._is_closed = False

    @property
    def is_following(self) -> bool:
        """Whether every change is seen as it happens, so that nothing else has to be asked."""
        with self._lock:
            return bool(self._followed) and all(self._followed.values()) and not self._is_closed

    def follow(self, namespace: str, revision: int) -> None:
        """Follows this namespace too, from this revision on."""
        with self._lock:
            if self._open_client is None or self._is_closed or namespace in self._followed:
                return
            self._followed[namespace] = False
        arguments = (weakref.ref(self), self._open_client, namespace, revision)
        threading.Thread(target=_follow, args=arguments, name=f"llmplane-{namespace}", daemon=True).start()

    def close(self) -> None:
        """Ends with the next event or heartbeat; where there is no stream, within a second."""
        self._is_closed = True

    def _note(self, namespace: str, said: Event | Beat) -> bool:
        """Whether what follows is wanted too."""
        with self._lock:
            self._followed[namespace] = said is not Beat.BROKEN
            if not isinstance(said, Beat):
                self.count += 1
        return not self._is_closed

    def _lost(self, namespace: str) -> None:
        with self._lock:
            self._followed[namespace] = False


def _follow(owner: weakref.ref[Changes], open_client: Callable[[], Client], namespace: str, revision: int) -> None:
    def still_wanted(said: Event | Beat) -> bool:
        changes = owner()
        return changes is not None and changes._note(namespace, said)

    try:
        with open_client() as client:
            for said in client._beats(namespace=namespace, kinds=KINDS, since=revision):
                if not still_wanted(said):
                    return
    except LlmplaneError as error:
        log.warning(
            "changes of %s cannot be followed (%s): answers are asked for every minute", namespace, brief(error)
        )
    except Exception as error:  # a daemon's end must not go unsaid
        log.warning("changes of %s are not followed any more: %s", namespace, type(error).__name__)
    changes = owner()
    if changes is not None:
        changes._lost(namespace)
