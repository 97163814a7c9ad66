"""Every name that the reference has for its users, with its default: read from the installed package, never from a list.

    ApiConnector(base_url)     a parameter of the class         EndpointConfig.path     a field of a model
    fetch_data()               a method                         sse.max_events          a key of a block
    fetch_data(params)         its parameter                    HealthStatus.healthy    a value

What a method answers has names too, `send_data: success`, `progress.done`, `event.id`, `ApiLinkerError.message`: those are
read off the answers that the reference gave in the comparison.
"""

import ast
import inspect
import re
import textwrap

from apilinker.core import auth, connector, error_handling, monitoring, rate_limiting
from apilinker.core.connector import ApiConnector
from pydantic_core import PydanticUndefined

BLOCKS = {"sse_config": "sse", "streaming_config": "streaming", "pagination": "pagination"}
"""The blocks that an endpoint's fields are, by the names that the connector's code has for them."""


def names():
    found = {}
    found.update(parameters("ApiConnector", ApiConnector.__init__))
    for name, method in methods(ApiConnector):
        found[f"{name}()"] = "—"
        found.update(parameters(name, method))
    for used in re.findall(r'kwargs\.pop\("(\w+)"\)', inspect.getsource(ApiConnector.__init__)):
        found[f"ApiConnector({used})"] = "None"
    for model in [connector.EndpointConfig, monitoring.HealthCheckResult, *kinds()]:
        for name, field in model.model_fields.items():
            found[f"{model.__name__}.{name}"] = default_of_field(field)
    found["EndpointConfig.model_config"] = str(connector.EndpointConfig.model_config)
    found.update(keys(ApiConnector, BLOCKS))
    found.update(keys(rate_limiting.RateLimitManager, {"config": "rate_limit"}))
    fields = {name for kind in kinds() for name in kind.model_fields}
    read = keys(auth.AuthManager.configure_auth, {"auth_config": "auth"})
    found.update({name: value for name, value in read.items() if name.removeprefix("auth.") not in fields})
    for name, _ in methods(auth.AuthManager):
        found[f"AuthManager.{name}()"] = "—"
    for name, parameter in inspect.signature(error_handling.ApiLinkerError).parameters.items():
        found[f"ApiLinkerError.{name}"] = shown(parameter.default)
    for enum in (monitoring.HealthStatus, error_handling.ErrorCategory, rate_limiting.RateLimitStrategy):
        found.update({f"{enum.__name__}.{value.value}": "—" for value in enum})
    return found


def kinds():
    """The kinds of authentication."""
    return [kind for kind in vars(auth).values() if inspect.isclass(kind) and issubclass(kind, auth.AuthConfig)]


def methods(of):
    return [(name, method) for name, method in inspect.getmembers(of, inspect.isfunction) if not name.startswith("_")]


def parameters(name, function):
    return {
        f"{name}({'**' if p.kind is p.VAR_KEYWORD else ''}{p.name})": "—" if p.kind is p.VAR_KEYWORD else shown(p.default)
        for p in list(inspect.signature(function).parameters.values())[1:]}


def shown(default):
    if default == "":
        return '""'
    if default is inspect.Parameter.empty or default is PydanticUndefined:
        return "required"
    return str(default) if not hasattr(default, "value") else default.value


def default_of_field(field):
    if field.default_factory is not None:
        made = field.default_factory.__name__
        return "now" if made == "utcnow" else str(field.default_factory())
    return shown(field.default)


def keys(of, blocks):
    """What the code reads of a block, with the default that it has there."""
    tree, found = ast.parse(textwrap.dedent(inspect.getsource(of))), {}
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        arguments = function.args.args
        given = dict(zip((a.arg for a in arguments[len(arguments) - len(function.args.defaults):]), function.args.defaults))
        for node in ast.walk(function):
            key, value = read(node, blocks)
            if key is None:
                continue
            name = key.split(".")[1]
            default = given.get(name) if value is None or isinstance(value, ast.Name) else value
            if default is not None or key not in found:
                found[key] = "None" if default is None else shown(ast.unparse(default).strip("'"))
    return found


def read(node, blocks):
    """The key that an expression reads, `sse_config.get("key", default)` or `sse_config["key"]`, and the default."""
    if isinstance(node, ast.Subscript):
        block, at, value = node.value, node.slice, None
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
        block, at, value = node.func.value, node.args[0], (node.args + [None])[1]
    else:
        return None, None
    if isinstance(block, ast.Name) and block.id in blocks and isinstance(at, ast.Constant) and isinstance(at.value, str):
        return f"{blocks[block.id]}.{at.value}", value
    return None, None


if __name__ == "__main__":
    for name, default in names().items():
        print(f"{name}\t{default}")
