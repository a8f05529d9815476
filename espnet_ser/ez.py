"""ESPnet-EZ: this package's task among ESPnet-EZ's own, so that its ``Trainer`` finds it by name.

    import espnet_ser.ez
    espnet_ser.ez.register()
    espnetez.Trainer(task="ser", train_config={**espnetez.task.TASK_CLASSES["ser"].get_default_config(), ...}, ...)

Importing ``espnetez`` imports every task of ESPnet, which takes half a minute; nothing else here does.
"""

TASK_NAME = "ser"


def register(name: str = TASK_NAME) -> None:
    """Gives :class:`espnet_ser.tasks.ser.SERTask` a name in ESPnet-EZ.

    Args:
        name: What ``task=`` will call it.
    """
    from espnetez.task import TASK_CLASSES

    from espnet_ser.tasks.ser import SERTask

    TASK_CLASSES[name] = SERTask
