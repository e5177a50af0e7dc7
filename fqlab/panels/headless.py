"""What a program does with a panel, and what a hand does too: change its settings, wait, step, take away what it shows."""

from __future__ import annotations

from typing import Any, TypeVar

from fqlab.errors import ConfigError, one_of, shown
from fqlab.panels import page, ticket
from fqlab.panels.state import changed, words
from fqlab.plots.picture import Drawing, to_svg

__all__ = ["Headless"]

Own = TypeVar("Own", bound="Headless")


class Headless:
    """The interface of a panel for programs; :class:`~fqlab.panels.frame.Panel` inherits it and holds the parts."""

    @property
    def state(self) -> Any:
        """The current settings."""
        return self._state

    @property
    def home(self) -> Any:
        """The state that *Reset* goes back to and presets start from."""
        return self.State()

    @property
    def ticket(self) -> str:
        """The code that restores the current settings."""
        return ticket.write(self.name, self.version, self._state)

    @property
    def description(self) -> str:
        """Settings, pictures and finding in words; the same for the same settings."""
        about = f"{self.title}. Settings: {words(self._state)}."
        return " ".join([about, *self.gallery.alts.values(), self.frame.message]).strip()

    @property
    def error(self) -> Exception | None:
        """What went wrong with the current settings, or with what a hand asked for last."""
        return self.status.error

    def set(self: Own, **settings: Any) -> Own:
        """Change settings, as if by hand.

        Raises:
            ConfigError: for an unknown or impossible setting; nothing changes then.
        """
        with self.lock:
            self._set_state(changed(self._state, settings))
        return self

    def restore(self: Own, code: str) -> Own:
        """Restore the settings of a ticket.

        Raises:
            ConfigError: for a ticket of another panel or version, or a mistyped one; nothing changes then.
        """
        self._set_state(ticket.read(self.name, self.version, self.State, code))
        return self

    def preset(self: Own, name: str) -> Own:
        """Go to a preset.

        Raises:
            ConfigError: for a name that is none.
        """
        self._set_state(changed(self.home, self.presets[one_of("preset", name, self.presets)]))
        return self

    def reset(self: Own) -> Own:
        """Back to the settings it starts from."""
        self._set_state(self.home)
        return self

    def wait(self, timeout: float | None = 60) -> bool:
        """Block until the background work is done and shown; False after ``timeout`` seconds."""
        return self.runner.wait(timeout)

    def stop(self) -> None:
        """Stop the background work; what it showed so far stays."""
        self.runner.cancel()

    def start(self) -> None:
        """Run the background work for the current settings now, however long it takes."""
        self.runner.launch(self._state)

    def step(self, by: int = 1) -> None:
        """Show the last run as it was ``by`` steps later, or earlier if negative."""
        self.runner.step(by)

    def play(self) -> None:
        """Show the last run again, step by step; pauses if it is being shown."""
        self.runner.play()

    def drawing(self, zoom: float = 1.0) -> Drawing:
        """All pictures as they are now, in one figure with alt text."""
        with self.lock:
            return self.gallery.drawing(zoom)

    def still(self) -> Drawing:
        """What a page without a kernel shows: all pictures, at twice their size."""
        return self.drawing(zoom=2)

    def without_kernel(self) -> dict[str, str]:
        """By MIME type what a page without a kernel shows: the still, a caption, a description."""
        return page.bundle(self.title, self.description, self.still())

    def figure(self, zoom: float = 1.0) -> Any:
        """All pictures as they are now, as one Matplotlib figure."""
        return self.drawing(zoom).figure

    def svg(self) -> str:
        """All pictures as they are now, as SVG text."""
        return to_svg(self.drawing())

    def csv(self) -> str:
        """The table behind the pictures; every row starts with the ticket and the settings."""
        return page.table(self.ticket, self._state, self.frame.rows)

    @property
    def has_experiment(self) -> bool:
        """Whether :meth:`run` trains a federation that could run by itself."""
        return type(self).experiment(self.State()) is not None

    def toml(self) -> str:
        """The experiment behind what is shown, as TOML: what ``fqlab run --config FILE`` takes.

        Raises:
            ConfigError: if with these settings the panel trains no federation that could run by itself.
        """
        experiment = type(self).experiment(self._state)
        if experiment is None:
            raise ConfigError(
                f"panel {shown(self.name)} trains no federation that could run by itself with these settings."
            )
        return experiment.to_toml()

    def copy(self) -> None:
        """Put the experiment into the clipboard, and into the status line to be copied from there by hand."""
        text = self.toml()
        self.status.write("Experiment, copied; or click and copy: ", link=page.text_box(text))
        self._assistant.send({"copy": text})

    def save(self, kind: str) -> None:
        """Offer the table (``csv``) or the pictures (``svg``) as a file; the data address is made only now."""
        makers = {"csv": (self.csv, "text/csv"), "svg": (self.svg, "image/svg+xml")}
        make, mime = makers[one_of("kind", kind, makers)]
        content = make()
        name = f"fqlab-{self.ticket}.{kind}"
        address = page.data_uri(content, mime)
        self.status.write("File: ", link=page.link(name, address, content))
        self._assistant.send({"save": name, "href": address})
