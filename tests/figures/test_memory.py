import tfp_realnvp as nvp
from tfp_realnvp.figures import estimated_bytes, memory


def flow_of(**sizes):
    return nvp.image_flow(event_shape=(8, 8, 1), num_blocks=1, seed=0, **sizes)


def test_memory_grows_with_pixels_and_pictures(flow):
    needed = estimated_bytes(flow, 80, 160)
    assert needed == 200 * estimated_bytes(flow, 8, 8)
    # Latents and the result of a second one.
    more = estimated_bytes(flow, 80, 160, count=2) - needed
    assert more == 80 * 160 * 4 * memory._KEPT_IMAGES


def test_the_widest_network_in_its_own_dtype_counts(flow):
    # The flow has 4 hidden maps, of 4 bytes a number.
    needed = estimated_bytes(flow, 80, 160)
    of_maps = 80 * 160 * 4 * 4 * memory._HIDDEN_MAPS
    wider = estimated_bytes(flow_of(filters=8), 80, 160)
    assert wider == needed + of_maps
    halved = estimated_bytes(
        flow_of(filters=4, network_dtype="mixed_bfloat16"), 80, 160
    )
    assert halved == needed - of_maps / 2


def test_scales_are_not_there_at_once(flow, by_class):
    assert estimated_bytes(flow, 80, 80) == estimated_bytes(by_class, 80, 80)
