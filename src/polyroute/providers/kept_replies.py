"""Who made the replies that hosts keep, so that a call that goes on from one is asked of nobody else."""

from __future__ import annotations

from polyroute.deployments import Deployment

__all__ = ["KeptReplies"]

_MOST = 4_096


class KeptReplies:
    """The newest few thousand, by their ids. Of others it is not known who made them, and who did not
    says so when it is asked."""

    def __init__(self) -> None:
        self._makers: dict[str, Deployment] = {}

    def add(self, id: str, maker: Deployment) -> None:
        if len(self._makers) >= _MOST:
            del self._makers[next(iter(self._makers))]
        self._makers[id] = maker

    def barred(self, id: str, deployment: Deployment) -> str | None:
        """Why *deployment* cannot go on from the reply with this id: its host, or its key, made it not."""
        maker = self._makers.get(id)
        if maker is None or _account(maker) == _account(deployment):
            return None
        return f"extra= goes on from {id}, which {maker.id} made and it does not know"


def _account(deployment: Deployment) -> tuple[object, ...]:
    """What a host knows somebody by: replies are kept for a key, whatever the model."""
    return deployment.prefix, deployment.base_url, deployment.region, deployment.api_key, deployment.headers
