from types import SimpleNamespace

import matplotlib.image
import numpy as np

from ldr_tf.imaging import Grid, grid_of, to_image
from ldr_tf.registration.preview import write_preview


def picture(tmp_path, array, direction, spacing=(1.0, 1.0, 1.0), jacobian=1.0):
    """Returns the preview of a scan; the mapping stretches it along x by the Jacobian."""
    size = array.shape
    axes = np.reshape(direction, (3, 3))
    origin = -axes @ ((np.array(size) - 1) / 2 * spacing)
    scan = to_image(array.astype(np.float32), Grid(size, spacing, tuple(origin), direction))
    vectors = np.zeros((*size, 3), np.float32)
    points = grid_of(scan).points(np.indices(size).reshape(3, -1).T).reshape(*size, 3)
    vectors[..., 0] = (jacobian - 1) * points[..., 0]
    result = SimpleNamespace(
        warped=scan,
        displacement=to_image(vectors, scan),
        correlation_before=None,
        correlation_after=0.5,
        folds_percent=0.0,
    )
    path = tmp_path / "preview.png"
    write_preview(str(path), scan, scan, result)
    return matplotlib.image.imread(path)


def body(size=(40, 50, 60)):
    """A dim body with a bright spot at the patient's left, front and head, in the order LPS."""
    array = np.zeros(size)
    array[4:-4, 4:-4, 4:-4] = 60
    array[-14:-8, 8:14, -30:] = 255  # also in the axial slice through the middle
    return array


def brightest(panel):
    gray = panel[..., :3].mean(-1)
    rows, columns = np.nonzero(gray > 0.8)
    return rows.mean() / gray.shape[0], columns.mean() / gray.shape[1]


def axial_panel(image):
    """Cuts the upper left panel out, without its texts."""
    height, width = image.shape[:2]
    return image[int(0.08 * height) : int(0.34 * height), int(0.03 * width) : int(0.125 * width)]


def last_panel(image):
    """Cuts the middle of the Jacobian's axial panel out."""
    height, width = image.shape[:2]
    return image[int(0.16 * height) : int(0.26 * height), int(0.87 * width) : int(0.92 * width), :3]


def test_axial_slices_hang_as_radiologists_want(tmp_path):
    straight = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
    first = picture(tmp_path, body(), straight)
    row, column = brightest(axial_panel(first))
    assert row < 0.4 and column > 0.6  # front is up, the patient's left on the right
    # The same body stored as RAS gives the same picture.
    again = picture(tmp_path, body()[::-1, ::-1], (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))
    np.testing.assert_allclose(again, first, atol=0.02)


def test_voxels_are_drawn_in_proportion(tmp_path):
    straight = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
    cube = picture(tmp_path, body((40, 40, 40)), straight)
    flat = picture(tmp_path, body((40, 40, 40))[:, :, ::2], straight, (1.0, 1.0, 2.0))
    assert cube.shape == flat.shape
    # Both show a body of the same extent in mm in the coronal panel of the second row.
    height, width = cube.shape[:2]
    columns = slice(int(0.03 * width), int(0.125 * width))
    lit = [
        (image[int(0.36 * height) : int(0.63 * height), columns, :3].mean(-1) > 0.15).sum()
        for image in (cube, flat)
    ]
    assert abs(lit[0] - lit[1]) < 0.15 * lit[0]


def test_the_jacobian_is_blue_where_it_shrinks_red_where_it_grows_black_at_folds(tmp_path):
    straight = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
    seen = {}
    for value in (-0.5, 0.5, 1.0, 2.0):
        image = picture(tmp_path, body(), straight, jacobian=value)
        seen[value] = last_panel(image).reshape(-1, 3).mean(axis=0)
    assert seen[-0.5].max() < 0.05
    assert seen[0.5][2] > seen[0.5][0] + 0.2
    assert seen[1.0].min() > 0.93
    assert seen[2.0][0] > seen[2.0][2] + 0.2
