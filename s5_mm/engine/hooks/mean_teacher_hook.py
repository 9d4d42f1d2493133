"""Update the teacher of a semi-supervised model after each step of the optimizer."""
from mmengine.hooks import Hook
from mmengine.runner import Runner

from s5_mm.models.networks import unwrapped
from s5_mm.registry import HOOKS


@HOOKS.register_module()
class MeanTeacherHook(Hook):
    """Average the student's weights into ``model.teacher`` after each step of the optimizer.

    With gradient accumulation there is one update for each step, not for each iteration. The average itself, its
    momentum and its counter belong to ``model.teacher`` (see :class:`s5_mm.SemiBaseSegmentor`), so checkpoints hold
    them. The hook runs before others of the same moment, so that these see the new teacher.
    """

    priority = 'ABOVE_NORMAL'

    def before_train(self, runner: Runner) -> None:
        """Check that there is a teacher, and announce the updates to the model.

        Raises:
            ValueError: The model has no teacher.
        """
        model = unwrapped(runner.model)
        teacher = getattr(model, 'teacher', None)
        if teacher is None:
            raise ValueError(f'MeanTeacherHook updates model.teacher, but the {type(model).__name__} has none; set '
                             'model.teacher=dict(), or remove the hook from custom_hooks.')
        if teacher.update_buffers:
            # MMEngine collects these tensors when it builds the average. Moving the model to a GPU replaces them.
            teacher.avg_parameters = teacher.module.state_dict()
        model.teacher_is_updated = True

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Update the teacher if the optimizer has made a step."""
        if runner.optim_wrapper.should_update():
            unwrapped(runner.model).update_teacher()
