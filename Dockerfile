# One image for every role; docker-compose.yml says which role a container plays.
FROM python:3.11-slim-bookworm
COPY --from=ghcr.io/astral-sh/uv:0.13.8 /uv /usr/local/bin/uv
WORKDIR /app
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 PATH=/app/.venv/bin:$PATH
COPY pyproject.toml uv.lock README.md ./
RUN uv sync --frozen --no-dev --no-install-project
COPY engine engine
COPY state state
COPY connectors connectors
COPY flows flows
COPY headgate headgate
COPY bench bench
RUN uv sync --frozen --no-dev && useradd --create-home headgate && chown -R headgate /app
USER headgate
ENTRYPOINT ["headgate"]
CMD ["--help"]
