"""What a decoder is made of, in a form that is quick to compare; no tensor's values are read."""

import dis
from functools import lru_cache, partial
from types import CodeType, FunctionType, MethodType, ModuleType

import torch
from torch.nn.modules import module as torch_modules

_NUMBERS = (int, float, complex)
_PLAIN = (bool, str, bytes, type(None))
_CODE = (torch.nn.Module, FunctionType, MethodType, partial, type)
_LARGE = 64  # containers with more in them are not looked into
_OF_EVERY_MODULE = len(torch.nn.Module().__dict__)  # attributes; they come first


def fingerprint(decoder):
    """Marks that change when ``decoder`` does, and which of its modules are in train mode.

    A mark is the identity of a thing, the version counter of a tensor, a name or a flag. Marked are

    - of every module: its class, ``forward``, hooks, buffers, submodules and attributes;
    - of modules and functions that are not a library's: their code, what is in their attributes and
      closures, and what that code refers to: functions, modules, classes of ``autograd.Function``.

    Parameters are not, nor numbers: they do not make a right derivative wrong. Nor is what is
    hidden in other objects, in libraries, or in containers of more than 64 things.
    """
    survey = _Survey()
    survey.visit_decoder(decoder)
    return survey.marks, survey.training


class _Survey:
    def __init__(self):
        self.marks, self.training = [], []
        self.seen, self.libraries = set(), {}

    def visit_decoder(self, decoder):
        self.marks += torch_modules._global_forward_hooks
        self.marks += torch_modules._global_forward_pre_hooks
        if isinstance(decoder, _CODE):
            self.visit(decoder)
        else:
            self._look_into_class(type(decoder))
            self._visit_all(getattr(decoder, "__dict__", {}).values())

    def visit(self, thing):
        """Mark a thing, and what it is made of."""
        kind = type(thing)
        if kind in _NUMBERS:
            return
        if kind in _PLAIN:
            self.marks.append(thing)
        elif isinstance(thing, torch.Tensor):
            self.marks.append((id(thing), None if thing.is_inference() else thing._version))
        elif kind is MethodType:  # a new object at every look
            self._visit_all((thing.__func__, thing.__self__))
        else:
            self.marks.append(id(thing))
            if id(thing) not in self.seen:
                self.seen.add(id(thing))
                self._look_into(thing)

    def _visit_all(self, things):
        for thing in things:
            self.visit(thing)

    def _look_into(self, thing):
        if isinstance(thing, torch.nn.Module):
            self._look_into_module(thing)
        elif isinstance(thing, FunctionType):
            self._look_into_function(thing)
        elif isinstance(thing, partial):
            self._visit_all((thing.func, *thing.args, *thing.keywords.values()))
        elif isinstance(thing, (staticmethod, classmethod)):
            self.visit(thing.__func__)
        elif isinstance(thing, type):
            if issubclass(thing, torch.autograd.Function):
                self._visit_all(vars(thing).values())
        elif isinstance(thing, (list, tuple)):
            self._look_into_container(thing)
        elif isinstance(thing, dict):
            self._look_into_container(thing.values())

    def _look_into_container(self, container):
        if len(container) <= _LARGE:
            self._visit_all(thing for thing in container if isinstance(thing, _CODE + _PLAIN))

    def _look_into_module(self, module):
        held, kind, marks = module.__dict__, type(module), self.marks
        # TorchScript has none in its class.
        forward = held.get("forward") or getattr(kind, "forward", None)
        self.training.append(module.training)
        marks += (id(kind), id(forward))
        for hooks in (held.get("_forward_hooks"), held.get("_forward_pre_hooks")):
            if hooks:
                marks.append(tuple(hooks))  # their keys, of which none comes twice
        for buffer in held.get("_buffers", {}).values():
            self.visit(buffer)
        attributes = tuple(held.values())[_OF_EVERY_MODULE:]
        if self._is_of_library(forward):
            marks += [id(value) for value in attributes if type(value) not in _NUMBERS]
        else:
            self.visit(forward)
            self._look_into_class(kind)
            self._visit_all(attributes)
        for child in held.get("_modules", {}).values():
            marks.append(id(child))
            if child is not None and id(child) not in self.seen:
                self.seen.add(id(child))
                self._look_into_module(child)

    def _is_of_library(self, forward):
        known = self.libraries.get(forward)
        if known is None:
            code = getattr(forward, "__code__", None)
            known = self.libraries[forward] = code is None or _is_library(code.co_filename)
        return known

    def _look_into_class(self, kind):
        for base in kind.__mro__:
            if base is torch.nn.Module:
                break
            if id(base) not in self.seen:
                self.seen.add(id(base))
                self._visit_all(vars(base).values())

    def _look_into_function(self, function):
        code = function.__code__
        self.marks.append(id(code))
        if _is_library(code.co_filename):
            return
        self._visit_all(function.__defaults__ or ())
        self._visit_all((function.__kwdefaults__ or {}).values())
        self._visit_all(map(_contents, function.__closure__ or ()))
        names, attributes = _names(code)
        for name in names:
            thing = function.__globals__.get(name)
            if isinstance(thing, ModuleType):
                if not _is_library(getattr(thing, "__file__", None) or "site-packages"):
                    self._visit_all(vars(thing).get(attribute) for attribute in attributes)
            else:
                self.visit(thing)


def _contents(cell):
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return None


@lru_cache(maxsize=4096)
def _is_library(filename):
    """Whether this file was installed, and is not being worked on."""
    return filename.startswith(torch.__path__[0]) or any(
        part in filename for part in ("site-packages", "dist-packages", "lib/python")
    )


@lru_cache(maxsize=1024)
def _names(code):
    """The global names that ``code`` reads, and all names in it, of attributes too."""
    names, attributes = [], list(code.co_names)
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            names.append(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            for found, inner in zip((names, attributes), _names(constant), strict=True):
                found.extend(inner)
    return tuple(dict.fromkeys(names)), tuple(dict.fromkeys(attributes))
