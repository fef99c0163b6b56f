"""The records that describe a component: frozen data, standard library only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Source:
    """Where a formula, a figure or a mistake can be read: a title, the place in it, a link."""

    title: str
    locator: str = ""
    url: str = ""


def notes(place: str) -> Source:
    """A place in the notes on deep learning whose claims are judged, as ``notes("001, section 8.4")``."""
    return Source("Source notes on deep learning", f"notes {place}")


@dataclass(frozen=True, slots=True)
class Option:
    """One way that right implementations go on an axis of difference.

    ``keywords`` are the reference's keywords that select it; where they are settings that a caller may give (a
    default value is a convention too), the caller's value wins.
    """

    name: str
    says: str
    keywords: Mapping[str, Any] = field(default_factory=dict)
    followed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Convention:
    """An axis on which right implementations differ; the first option is that of the drop-in model."""

    axis: str
    says: str
    options: tuple[Option, ...]
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """A known mistake, as a runnable variation of the reference.

    ``replaces`` maps names of the reference module's functions to their mistaken versions, which take the same
    arguments. ``says`` is what is wrong in at most 60 characters, ``effect`` what it does to training, ``fix`` the line
    to change, ``happened`` the public threads.
    """

    id: str
    component: str
    says: str
    effect: str
    fix: str
    replaces: Mapping[str, Callable[..., Any]]
    happened: tuple[str, ...] = ()


def faults_in(
    stem: Callable[[str], str],
    components: tuple[str, ...] | str,
    slug: str,
    says: str,
    effect: str,
    fix: str,
    make: Callable[[str], Callable[..., Any] | Mapping[str, Callable[..., Any]]],
    happened: tuple[str, ...] = (),
    **ids: str,
) -> tuple[Fault, ...]:
    """One mistake in each of the components; ``make`` gives what a component's function is replaced by, or several.

    The id is what ``stem`` makes of the component's name, then the slug; ``ids`` names those that have another.
    ``happened`` are threads on GitHub, as ``owner/name/issues/1``.
    """
    threads = tuple(f"https://github.com/{thread}" for thread in happened)
    names = (components,) if isinstance(components, str) else components
    made = {name: make(name) for name in names}
    replaced = {name: given if isinstance(given, Mapping) else {name: given} for name, given in made.items()}
    return tuple(
        Fault(ids.get(name, f"{stem(name)}-{slug}"), name, says, effect, fix, replaced[name], threads) for name in names
    )


@dataclass(frozen=True, slots=True)
class Component:
    """One building block with a name from the field.

    ``form`` says how an implementation is driven and names a module of ``dlcheck.conformance.forms``; ``model`` is
    what an implementation is a drop-in for. ``inputs`` names its array arguments in order, ``optional`` further ones,
    which a case may leave out; of both, a class holds those in ``parameters``, and those in ``differentiable`` have a
    gradient (None: all). ``settings`` are its keywords with the model's defaults. ``operations`` is the number of
    roundings that an output of a case passes through, ``magnitude`` the size of intermediate results that a right
    implementation may round at (1 for a sigmoid written with tanh), and ``construct`` gives the constructor's arguments
    that follow from the inputs of a case (for an implementation that is a class).
    """

    name: str
    form: str
    summary: str
    formula: str
    model: str
    sources: tuple[Source, ...]
    inputs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    differentiable: tuple[str, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    conventions: tuple[Convention, ...] = ()
    operations: Callable[["Case"], int] = lambda case: 8
    magnitude: Callable[["Case"], float] = lambda case: 0.0
    construct: Callable[["Case"], Mapping[str, Any]] = lambda case: {}


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Case:
    """One thing to do with an implementation, in NumPy arrays and plain values.

    ``run`` is a run of the component's form ("forward" or "backward" of a function, "trajectory" of an optimizer, ...);
    ``inputs`` are arrays by argument name as that form has them, ``settings`` keywords, ``dtype`` and ``layout`` how
    the arrays reach the implementation ("in_place": it is asked to write into them). ``exact`` says that no input may
    be perturbed when the allowed error is estimated (ties and kinks). ``refusable``: code that raises here, in place of
    giving a wrong answer, lacks what the case asks for and is not wrong.
    """

    run: str
    inputs: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "float64"
    layout: str = "contiguous"
    exact: bool = False
    refusable: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """Something that every implementation of a component must satisfy: to agree with the reference on these cases.

    ``cases`` are fixed inputs that separate conventions and faults, ``search`` is a Hypothesis strategy of further
    cases or None. ``observes`` is "values", or the name of a fact about the run that is compared in their place
    ("dtype", "purity", "determinism", ...). ``severity`` is "advice" where a deviation harms no caller: digits lost
    that the component's magnitude accounts for, say, which only a check that advises looks at.
    """

    id: str
    says: str
    cases: tuple[Case, ...]
    search: Any = None
    observes: str = "values"
    severity: Literal["error", "advice"] = "error"


@dataclass(frozen=True, slots=True)
class Counterpart:
    """A library's own code for a component; ``known`` gives the reason for each check that it is known to fail.

    A known deviation that vanishes fails the run, as a new one does, but for those ``varying`` from call to call; so
    does a convention other than those that it is known to follow, ``follows``, option by axis.
    """

    component: str
    target: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)
    varying: tuple[str, ...] = ()
    follows: Mapping[str, str] = field(default_factory=dict)

    @property
    def library(self) -> str:
        """The package that the code is from."""
        return self.target.partition(":")[0].partition(".")[0]

    @property
    def name(self) -> str:
        """The target with its settings, as on the command line."""
        return " ".join([self.target, *(f"{key}={value}" for key, value in self.settings.items())])
