"""The command that serves the dashboard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import DEFAULT_CONFIG, Config


def dashboard(
    config: Config = DEFAULT_CONFIG,
    *,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; there is no password.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")] = 8501,
) -> None:
    """Serve the dashboard: filters, every bar down to the lines of a bill. On this machine only, unless told otherwise.

    Needs the extra `dashboard`. It reads what is published and may run while the pipeline does.

    Example: apportion dashboard --config apportion.yaml --port 8600
    """
    import importlib
    import importlib.util

    from models.errors import ApportionError
    from pipelines.cli.output import say
    from pipelines.settings import Settings

    Settings.load(config)  # a wrong configuration is said here, not in the browser
    if importlib.util.find_spec("streamlit") is None:
        raise ApportionError("The dashboard needs Streamlit: pip install 'apportion[dashboard]'")
    # What the page imports takes seconds; done here, the first visitor does not wait for it. The page itself is no
    # module to import: Streamlit runs its file.
    import streamlit.web.cli

    from pipelines.reports import live_charts

    importlib.import_module("pandas")  # Streamlit's, for its grids
    page = Path(live_charts.__file__).with_name("dashboard.py")
    say(f"dashboard: http://{host}:{port}  (Ctrl-C ends it)")
    options = {
        "server.address": host,
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "logger.hideWelcomeMessage": "true",
        "runner.magicEnabled": "false",
        "theme.base": "light",
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    streamlit.web.cli.main(["run", *flags, str(page), "--", str(config.resolve())])
