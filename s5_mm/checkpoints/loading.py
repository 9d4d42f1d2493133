"""The one way by which weights get into a model."""
import os
from collections.abc import Mapping
from typing import Any

from mmengine.logging import MMLogger
from torch import Tensor, nn

from .adapters import UNUSED, OwnNames, StateDictAdapter, find_adapter, fits, is_counter
from .experts import EXPERT, experts_in, rename_experts
from .parts import ENCODER, Weights, part_of, select_part, unwrap
from .reading import read_checkpoint
from .report import LoadReport, why_no_model, why_too_few, why_too_many, why_unfit

HEAD, HEADS = 'decode_head.', ('decode_heads.', 'detectors.')


def load_weights(model: nn.Module,
                 source: str | os.PathLike | Mapping[str, Any],
                 *,
                 part: str = 'auto',
                 encoder_only: bool = False,
                 prefix: str | None = None) -> LoadReport:
    """Load weights of any known format into a model, or say why they are not the model's and change nothing.

    A model states by ``encoder_prefix`` where its encoder is; without it that is ``backbone.``, or the whole model. The
    encoder may bring weights under its own dense names into its form, and the model those of a segmentor of one dataset
    (``backbone.*``, ``decode_head.*``), each by a method ``adapt_weights(weights) -> weights``.

    Args:
        model: A model or an encoder.
        source: Path or address of a file, or a state dict.
        part: Of a semi-supervised checkpoint ``'student'``, ``'teacher'``, or ``'auto'``: what is evaluated.
        encoder_only: Whether the encoder alone must be complete, for the start of a training; whatever else fits is
            loaded too. Otherwise the whole model must be.
        prefix: What stands before the model's names in the file; ``None``: it is found out.

    Returns:
        What was loaded; the log has it too.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is refused, damaged or of no known format, or it is of a model that computes another
            function.
    """
    if isinstance(source, Mapping):
        state, name = source.get('state_dict', source), 'The state dict'
    else:
        state, name = read_checkpoint(os.fspath(source))['state_dict'], os.fspath(source)
    weights, report = adapt_weights(model, state, name, part, encoder_only, prefix)
    model.load_state_dict(weights, strict=False)
    return report


def adapt_weights(model: nn.Module,
                  state: Mapping[str, Any],
                  source: str,
                  part: str = 'auto',
                  encoder_only: bool = False,
                  prefix: str | None = None) -> tuple[Weights, LoadReport]:
    """The weights that :func:`load_weights` loads, under the model's names, and the report, which is logged.

    Arguments and errors are those of that function; ``source`` is what messages call the ``state`` dict.
    """
    state = unwrap({name: value for name, value in state.items() if isinstance(value, Tensor)})
    state = state if prefix is None else part_of(state, prefix)
    at, own = encoder_prefix(model), model.state_dict()
    encoder = model.get_submodule(at.removesuffix('.'))
    if part == 'auto' and _is_own(state, own):
        adapter: StateDictAdapter = OwnNames(encoder)
        named, found = state, None
    else:
        _, named = select_part(state, part, source)
        adapter, found = find_adapter(named, source, encoder)
    try:
        if found is None:
            weights, changes = _own_adapted(named, model, encoder)
        else:
            weights, changes = _adapted(adapter.to_model(named, found), ENCODER, encoder)
            changes = {at + name.removeprefix(ENCODER): change for name, change in changes.items()}
            weights = _placed(weights, model, at, own)
    except ValueError as error:
        raise ValueError(f'{source}: {error}') from error
    report = _report(adapter, at, own, weights, changes)
    reasons = [*_other_functions(adapter, encoder), *_misfits(adapter, encoder, at, own, weights)]
    if not encoder_only and (report.initial or report.unfit):
        reasons.append(why_no_model(report, own, weights))
    if reasons:
        raise ValueError(f'{source} ({adapter.name} format) does not fit the {type(model).__name__}: '
                         f'{" ".join(reasons)}\n{report.table}')
    logger = MMLogger.get_current_instance()
    logger.info('Weights from %s (%s format):\n%s', source, adapter.name, report.table)
    if report.unfit:
        logger.warning('%d tensors have another shape in the file and start from their initialization: %s.',
                       len(report.unfit), ', '.join([*report.unfit][:5]))
    return {name: value for name, value in weights.items() if name in own and name not in report.unfit}, report


def encoder_prefix(model: nn.Module) -> str:
    """What stands before the names of a model's encoder."""
    return getattr(model, 'encoder_prefix', ENCODER if hasattr(model, 'backbone') else '')


def _is_own(state: Weights, own: Weights) -> bool:
    """Whether a file has all names of a model, and no teacher that the model lacks."""
    return all(name in state or is_counter(name) for name in own) and all(
        name in own for name in state if name.startswith('teacher.'))


def _own_adapted(weights: Weights, model: nn.Module, encoder: nn.Module) -> tuple[Weights, dict[str, str]]:
    """As :func:`_adapted`, for a file of the same model; a teacher has an encoder, too."""
    changes = {}
    for name, module in model.named_modules():
        if type(module) is type(encoder):
            weights, changed = _adapted(weights, f'{name}.' if name else '', encoder)
            changes |= changed
    return weights, changes


def _adapted(weights: Weights, prefix: str, encoder: nn.Module) -> tuple[Weights, dict[str, str]]:
    """Let the encoder bring its weights into its form; also which names were ``'split'`` or ``'resized'``."""
    changes = {}
    inside, own = _known_experts(part_of(weights, prefix), encoder), encoder.state_dict()
    odd = [name for name, value in inside.items() if name in own and value.ndim != own[name].ndim]
    if odd:
        raise ValueError(f'The encoder of the file does not fit: {why_unfit(odd, own, inside)}')
    adapted = encoder.adapt_weights(inside) if hasattr(encoder, 'adapt_weights') else inside
    layers = {match[1] for match in map(EXPERT.match, adapted) if match}
    split = {name for name in adapted if EXPERT.match(name) or name.rpartition('.')[0] in layers}
    for name, value in adapted.items():
        if name not in inside or value.shape != inside[name].shape:
            changes[prefix + name] = 'split' if name in split else 'resized'
    others = {name: value for name, value in weights.items() if not name.startswith(prefix)}
    return others | {prefix + name: value for name, value in adapted.items()}, changes


def _known_experts(weights: Weights, encoder: nn.Module) -> Weights:
    """Give numbered experts the names of their datasets, and put those of other datasets aside.

    Raises:
        ValueError: The encoder does not state the order, or one of another length.
    """
    found, experts = experts_in(weights), getattr(encoder, 'experts', None)
    if experts is None or not found:
        return weights
    if not set(found) & set(experts.names) and all(map(str.isdigit, found)):
        if experts.order is None or len(experts.order) != len(found):
            raise ValueError(f'The file numbers its {len(found)} experts, and experts.order is {experts.order}; give '
                             'the datasets, that of expert 0 first, in experts=dict(order=[...]).')
        weights = rename_experts(weights, lambda number: experts.order[int(number)])
        found = experts.order
    if not set(experts.names) <= set(found):
        return weights
    return {UNUSED + name if set(experts_in([name])) - set(experts.names) else name: value
            for name, value in weights.items()}


def _placed(weights: Weights, model: nn.Module, at: str, own: Weights) -> Weights:
    """Canonical names as those of a model whose encoder is at ``at``."""
    root = at[:at.rstrip('.').rfind('.') + 1]
    if at and hasattr(model, 'adapt_weights'):
        weights = model.adapt_weights(weights)
    datasets = [*dict.fromkeys(name.split('.')[1] for name in weights if name.startswith(HEADS[0]))]
    if datasets and any(name.startswith(root + HEAD) for name in own):
        raise ValueError(f'The file is a segmentor of the datasets {datasets}, the model has one decoder; load it '
                         'into a MultiDatasetSegmentor, or take one dataset out of it with '
                         'tools/model_converters/merge_experts.py.')
    # Files and configs may spell the names of datasets with other cases.
    spelled = {name.split('.')[1].lower(): name.split('.')[1] for name in own if name.startswith(HEADS)}
    placed = {}
    for name, value in weights.items():
        if name.startswith(ENCODER):
            placed[at + name.removeprefix(ENCODER)] = value
        elif name.startswith(UNUSED) or not at:
            placed[UNUSED + name.removeprefix(UNUSED)] = value
        elif name.startswith(HEADS):
            kind, dataset, rest = name.split('.', 2)
            placed[f'{root}{kind}.{spelled.get(dataset.lower(), dataset)}.{rest}'] = value
        else:
            placed[root + name] = value
    return placed


def _report(adapter: StateDictAdapter, at: str, own: Weights, weights: Weights, changes: dict[str, str]) -> LoadReport:
    def sizes(names: list[str], of: Weights) -> dict[str, int]:
        return {name: of[name].numel() for name in names}
    unfit = [name for name in own if name in weights and weights[name].shape != own[name].shape]
    held = [name for name in own if name in weights and name not in unfit]
    return LoadReport(
        adapter=adapter.name,
        loaded=sizes([name for name in held if name not in changes], own),
        resized=sizes([name for name in held if changes.get(name) == 'resized'], own),
        split=sizes([name for name in held if changes.get(name) == 'split'], own),
        initial=sizes([name for name in own if name not in weights and not is_counter(name)], own),
        unfit=sizes(unfit, own),
        dropped=sizes([name for name in weights if name not in own], weights))


def _other_functions(adapter: StateDictAdapter, encoder: nn.Module) -> list[str]:
    """Options of an encoder by which it would compute another function than that of a format."""
    return [f'Such weights need {name}={value!r}, this encoder has {getattr(encoder, name)!r}.'
            for name, value in getattr(adapter, 'implies', {}).items() if getattr(encoder, name, value) != value]


def _misfits(adapter: StateDictAdapter, encoder: nn.Module, at: str, own: Weights, weights: Weights) -> list[str]:
    """Why the encoder of a file would compute another function than the model's."""
    own, weights = part_of(own, at), part_of(weights, at)
    missing = [name for name in own if name not in weights and not is_counter(name)]
    # Of a part that a format may lack all names must be missing.
    for group in adapter.may_lack:
        group = group if isinstance(group, tuple) else (group, )
        if not any(fits(name, group) for name in weights):
            missing = [name for name in missing if not fits(name, group)]
    may_drop = (UNUSED, *adapter.may_drop, *getattr(encoder, 'may_drop', ()))
    unknown = [name for name in weights if name not in own and not fits(name, may_drop)]
    unfit = [name for name in own if name in weights and weights[name].shape != own[name].shape]
    return [why(names, own, weights) for names, why in (
        (unfit, why_unfit), (unknown, why_too_many), (missing, why_too_few)) if names]
