"""`python -m bertriton_server`: the serve command alone."""

from bertriton_server.command import serve_command

serve_command(prog_name="python -m bertriton_server")
