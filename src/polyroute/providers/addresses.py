"""Where a deployment lives: its host's address, with what its region and the environment say filled in."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from polyroute.deployments import Deployment, check_address
from polyroute.errors import ConfigurationError
from polyroute.providers.hosts import Host

__all__ = ["Address", "Missing", "address_of", "environment", "region_of"]


@dataclass(frozen=True, slots=True)
class Address:
    """*base* stands before an operation's own path, *query* after it."""

    base: str
    query: str = ""

    def of(self, path: str) -> str:
        """The whole address of an operation."""
        if not self.query:
            return self.base + path
        return f"{self.base}{path}{'&' if '?' in path else '?'}{self.query}"


@dataclass(frozen=True, slots=True)
class Missing:
    """What must be told before a deployment can be asked, in a sentence that says how."""

    reason: str


def address_of(host: Host, deployment: Deployment) -> Address | Missing:
    """Where *deployment* lives.

    Raises:
        ConfigurationError: A variable of the environment holds no address, or no name that could
            stand in one.
    """
    if deployment.base_url is not None:
        return _surface(host, deployment.base_url)
    if (given := environment(host.base_url_variable)) is not None:
        if host.bare_port is not None:
            given = _spelt_out(given, host.bare_port)
        check_address(host.base_url_variable or "", given)
        return _surface(host, given.rstrip("/").removesuffix(host.base_url_suffix) + host.base_url_suffix)
    if host.base_url is None:
        variable = f", or set {host.base_url_variable}" if host.base_url_variable else ""
        return Missing(f"no address: give base_url={variable}")
    return _filled(host, host.base_url, deployment) if host.region_variables else Address(host.base_url)


def region_of(host: Host, deployment: Deployment) -> str | Missing:
    """The region to ask in: the deployment's own, or the environment's.

    Raises:
        ConfigurationError: It is none.
    """
    region = deployment.region or environment(*host.region_variables)
    if region is None:
        return Missing(f"no region: give region= or set {host.region_variables[0]}")
    return _name("region", region)


def environment(*variables: str | None) -> str | None:
    """The first of the variables that holds anything, without the white space that ends up around keys."""
    found = (os.environ.get(name, "").strip() for name in variables if name)
    return next(filter(None, found), None)


def _filled(host: Host, base_url: str, deployment: Deployment) -> Address | Missing:
    region = region_of(host, deployment)
    if isinstance(region, Missing):
        return region
    project = ""
    if host.project_variables:
        given = environment(*host.project_variables)
        if given is None:
            return Missing(f"no project: set {host.project_variables[0]}, or give base_url=")
        project = _name("project", given)
    base_url = dict(host.base_urls_by_region).get(region, base_url)
    return Address(base_url.format(region=region, project=project))


def _spelt_out(given: str, port: int) -> str:
    """*given* as an address, where it is a host alone, without a scheme and perhaps without a port."""
    bare = re.fullmatch(r"(\[.*\]|[^:/]*)(:\d+)?(/.*)?", given)
    if bare is None:
        return given
    name, own_port, path = bare.groups()
    return f"http://{name or '127.0.0.1'}{own_port or f':{port}'}{path or ''}"


def _surface(host: Host, given: str) -> Address:
    """The address as it was given; with a version of the API, where the host wants one said there."""
    base, _, query = given.partition("?")
    base = base.rstrip("/")
    if not query:
        versions = (each for each in host.api_versions if re.search(each.path, base))
        if (version := next(versions, None)) is not None:
            query = f"api-version={environment(version.variable) or version.usual}"
    return Address(base, query)


def _name(what: str, given: str) -> str:
    """*given*, if it can stand in an address and leave it the same host's."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.:-]*[a-z0-9])?", given):
        raise ConfigurationError(f"{given!r} is no name of a {what}: small letters, digits and hyphens")
    return given
