"""A teacher that registers the volumes of a data set, its answers refined on the pair if wanted."""

from ldr_tf.errors import InputError


class RefinedTeacher:
    """A model with so many steps of refinement.

    Attributes:
      about: what tells it from other teachers, for a record.
    """

    def __init__(self, name, manifest, steps):
        """Loads the model.

        Args:
          name: what `ldr_tf.models.load_model` takes.
          manifest: of the data set; its size must be the model's.
          steps: of the refinement, 0 for none.

        Raises:
          InputError: as `load_model`; no model, or one of another size.
        """
        from ldr_tf.models import load_model

        self._model = load_model(name, "float32")
        if self._model is None:
            raise InputError("--teacher must be a model.")
        size = tuple(self._model.network.image_size)
        if size != tuple(manifest.image_size):
            raise InputError(
                f"{name}: was trained at {size}, the data set holds {manifest.image_size}."
            )
        self._steps, self._image = steps, manifest.image
        self.about = {"teacher_sha256": self._model.fingerprint, "refine_steps": steps}

    def flow(self, fixed, moving):
        """Returns the flow, float32 [x, y, z, 3] in voxels, of two volumes [x, y, z], 0..255."""
        flow = self._model.flow(fixed, moving)
        if not self._steps:
            return flow
        from ldr_tf.registration.refinement import refine_volumes

        image = self._image
        spacing, ct = (image.spacing, image.intensity == "ct_abdomen") if image else (None, False)
        return refine_volumes(fixed, moving, flow, self._steps, spacing=spacing, ct=ct)[0]
