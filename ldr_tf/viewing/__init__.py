"""A page on which a registration is looked at in a browser: one file that needs no other.

`collect` takes what is shown from scans and field, reduced and packed; `write_page` puts it, a
registration's summary and the viewer (NiiVue) into an HTML file; `read_stored` finds what `collect`
wants in a folder of results.
"""

from ldr_tf.viewing.content import Content, collect
from ldr_tf.viewing.page import write_page
from ldr_tf.viewing.stored import read_stored

__all__ = ["Content", "collect", "read_stored", "write_page"]
