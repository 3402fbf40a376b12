"""What is known of repositories beside roles: their end, their tools, what their images ignore (data/README.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import date
from functools import cache

from nftui.catalog.globs import matches
from nftui.catalog.references import Reference, leading_version, parse_reference, version_key, within
from nftui.catalog.schema import Reader, read_port
from nftui.catalog.tags import is_floating
from nftui.model.dataclass import dataclass

_HUB = ("", "docker.io", "index.docker.io", "registry-1.docker.io")
_PUBLIC = ("ghcr.io", "quay.io", "gcr.io", "pkg.dev", "gitlab.com", "public.ecr.aws", "microsoft.com", "lscr.io",
           "azurecr.io", "codeberg.org", "registry.redhat.io", "elastic.co", "n8n.io", "nvcr.io", "k8s.io")  # fmt: skip
"""Registries whose names belong to others than on Docker Hub."""
_KEYS = (
    "images", "source", "deprecated", "instead", "support", "next", "lacks", "lacks_where", "lacks_unless",
    "lacks_since", "lacks_until", "no_paths", "own_healthcheck", "store", "late", "least_memory", "inert",
    "no_healthcheck", "no_metrics", "unused_mount",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Inert:
    """Names that the image's program does not read, unless a variable has one of some values."""

    names: tuple[str, ...]
    unless: Mapping[str, str] = field(default_factory=dict)
    """Variable to the value, or values with `|` between, that make the program read the names."""
    why: str = ""
    mounted: str = ""
    """A file whose mount makes the program ignore the names; "" where it never reads them."""
    since: str | None = None
    """The first version that does not read them."""
    tags_but: tuple[str, ...] = ()
    """Parts of a tag whose image reads them all the same."""

    def is_of(self, image: str) -> bool:
        """Whether the image's tag says that version or a later one, or moves with the newest."""
        tag = parse_reference(image).tag
        if any(part in (tag or "") for part in self.tags_but):
            return False
        version = leading_version(tag)
        return self.since is None or (within(version, self.since, None) if version else is_floating(tag))


@dataclass(frozen=True, slots=True)
class UnusedMount:
    """A path that the program writes only if a variable is set."""

    path: str
    unless: str


@dataclass(frozen=True, slots=True)
class Repository:
    """Facts about the images of some repositories; every one but `images` and `source` may be absent."""

    images: tuple[str, ...]
    source: str
    deprecated: str = ""
    """Why nothing new comes from it."""
    instead: str = ""
    support: Mapping[str, date] = field(default_factory=dict)
    """Line of versions ("6", "7.0") to the last day of its support."""
    next: Mapping[str, str] = field(default_factory=dict)
    """Line of versions to the version that an update goes to from it, one step at a time."""
    lacks: tuple[str, ...] = ()
    """Programs that are not in the image: curl, wget, sh."""
    lacks_where: tuple[str, ...] = ()
    """Parts of a tag, one of which must be there for that; () for every tag."""
    lacks_unless: tuple[str, ...] = ()
    """Parts of a tag that bring them all the same."""
    lacks_since: str | None = None
    lacks_until: str | None = None
    """Versions between which they are not there; a tag that names none is the newest."""
    no_paths: tuple[str, ...] = ()
    """HTTP paths that people ask for health and that the server has not."""
    no_metrics: tuple[int, ...] = ()
    """Ports that people have scraped and that answer with no metrics."""
    own_healthcheck: bool = False
    """The image's own Dockerfile has a HEALTHCHECK."""
    no_healthcheck: bool = False
    """It has none, which is known of stores without that."""
    store: bool = False
    """Holds data that no network should reach unasked."""
    late: bool = False
    """Answers some time after it was started: who depends on it has to wait."""
    least_memory: int = 0
    """Bytes below which the program does not start or does not work, by its makers' word."""
    inert: tuple[Inert, ...] = ()
    unused_mount: UnusedMount | None = None


def read_repository(file: str, number: int, value: object) -> Repository:
    """One entry of `repositories`. Raises CatalogError."""
    entry = Reader(file, f"repositories[{number}]", value)
    entry.only(*_KEYS)
    if not entry.texts("images"):
        raise entry.fail("images", "an image is needed")
    memory = entry.value.get("least_memory", 0)
    if not isinstance(memory, int):
        raise entry.fail("least_memory", "must be a number of bytes")
    return Repository(
        images=entry.texts("images"),
        source=entry.text("source"),
        deprecated=entry.text("deprecated", ""),
        instead=entry.text("instead", ""),
        support=_support(entry),
        next=_next(entry),
        lacks=entry.texts("lacks"),
        lacks_where=entry.texts("lacks_where"),
        lacks_unless=entry.texts("lacks_unless"),
        lacks_since=entry.text("lacks_since", "") or None,
        lacks_until=entry.text("lacks_until", "") or None,
        no_paths=entry.texts("no_paths"),
        no_metrics=tuple(read_port(entry, item) for item in entry.items("no_metrics")),
        own_healthcheck=entry.flag("own_healthcheck"),
        no_healthcheck=entry.flag("no_healthcheck"),
        store=entry.flag("store"),
        late=entry.flag("late"),
        least_memory=memory,
        inert=tuple(_inert(entry, n, item) for n, item in enumerate(entry.items("inert"))),
        unused_mount=_unused(entry),
    )


def _support(entry: Reader) -> dict[str, date]:
    lines = entry.part("support").value
    if not all(isinstance(k, str) and isinstance(v, date) for k, v in lines.items()):
        raise entry.fail("support", "must map versions in quotes to dates (2025-11-13)")
    return {str(line): day for line, day in lines.items() if isinstance(day, date)}


def _next(entry: Reader) -> dict[str, str]:
    lines = entry.part("next").value
    if not all(isinstance(k, str) and isinstance(v, str) for k, v in lines.items()):
        raise entry.fail("next", "must map versions in quotes to versions in quotes")
    return {str(line): str(version) for line, version in lines.items()}


def _inert(entry: Reader, number: int, value: object) -> Inert:
    item = Reader(entry.file, f"{entry.where}.inert[{number}]", value)
    item.only("names", "unless", "why", "mounted", "since", "tags_but")
    unless = {str(k): str(v) for k, v in item.part("unless").value.items()}
    since = item.text("since", "") or None
    return Inert(
        item.texts("names"), unless, item.text("why", ""), item.text("mounted", ""), since, item.texts("tags_but")
    )


def _unused(entry: Reader) -> UnusedMount | None:
    if "unused_mount" not in entry.value:
        return None
    item = entry.part("unused_mount")
    item.only("path", "unless")
    return UnusedMount(item.text("path"), item.text("unless"))


@cache
def repositories_of(image: str) -> tuple[Repository, ...]:
    """Every entry that speaks of that image."""
    from nftui.catalog.loader import catalog

    reference = parse_reference(image)
    return tuple(r for r in catalog().repositories if any(_fits(p, reference) for p in r.images))


def _fits(pattern: str, reference: Reference) -> bool:
    """`mongo` is the official image, `acme/*` is on Docker Hub or a private mirror, `ghcr.io/…` is there."""
    if "/" not in pattern:
        return reference.official and reference.repository == pattern
    if "." in pattern.partition("/")[0]:
        return matches(f"{reference.registry}/{reference.repository}", pattern)
    if reference.registry in _HUB:
        return matches(reference.repository, pattern)
    # A path above the whole name is a mirror of Docker Hub; the name alone may be the registry's own image.
    public = any(reference.registry == r or reference.registry.endswith(f".{r}") for r in _PUBLIC)
    parts = reference.repository.split("/")
    return not public and len(parts) > 2 and matches("/".join(parts[-2:]), pattern)


def deprecation(image: str) -> Repository | None:
    """The entry that says that the repository has ended."""
    return next((r for r in repositories_of(image) if r.deprecated), None)


def end_of_support(image: str) -> tuple[str, date, Repository] | None:
    """The line of versions that the tag belongs to and its last day, None where either is unknown."""
    found = [
        (line, r.support[line], r) for r in repositories_of(image) if (line := _line(image, r.support)) is not None
    ]
    return max(found, key=lambda entry: len(entry[0]), default=None)


def next_step(image: str) -> tuple[str, Repository] | None:
    """The version that an update of the image's line goes to, None where the catalog knows none."""
    found = [(line, r) for r in repositories_of(image) if (line := _line(image, r.next)) is not None]
    line, repository = max(found, key=lambda entry: len(entry[0]), default=("", None))
    return (repository.next[line], repository) if repository else None


def _line(image: str, lines: Mapping[str, object]) -> str | None:
    """The longest of `lines` that the tag's version belongs to."""
    key = version_key(leading_version(parse_reference(image).tag) or "")
    found = [line for line in lines if key and key[: len(version_key(line))] == version_key(line)]
    return max(found, key=len, default=None)


def lacking(image: str) -> Iterator[tuple[str, Repository]]:
    """Programs that the image does not hold."""
    reference = parse_reference(image)
    tag = reference.tag or ""
    for repository in repositories_of(image):
        where, unless = repository.lacks_where, repository.lacks_unless
        fits = (not where or any(part in tag for part in where)) and not any(part in tag for part in unless)
        if fits and _is_of_those(reference, repository):
            yield from ((name, repository) for name in repository.lacks)


def _is_of_those(reference: Reference, repository: Repository) -> bool:
    """Whether the image is of the versions that lack the programs; a digest alone tells no version."""
    since, until = repository.lacks_since, repository.lacks_until
    if reference.tag is None and reference.digest is not None:
        return since is None and until is None
    return within(leading_version(reference.tag or ""), since, until)
