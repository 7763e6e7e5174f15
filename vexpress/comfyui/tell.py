"""What a node says while it runs."""

from comfy_execution.utils import get_executing_context


def tell(text: str) -> None:
    """Write a line on the node that is running, if a user looks at it."""
    from server import PromptServer  # of ComfyUI, once it runs

    context, server = get_executing_context(), getattr(PromptServer, "instance", None)
    if context is not None and server is not None:
        server.send_progress_text(text, context.node_id)
