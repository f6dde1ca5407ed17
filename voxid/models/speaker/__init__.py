"""Speaker nets. The promise: waveforms [B, T] (and lengths [B]) -> embeddings [B, D].

`encoder.SpeakerEncoder` joins front-end, backbone, pooling and projection. A backbone is built with ``input_dim`` (F), takes
features [B, F, N] and a mask [B, 1, N] (or None) and returns frames [B, C, N']; it tells its width C as `output_dim`. One that
shortens time also tells the frames that remain of items with `lengths` [B] frames: ``num_frames(lengths) -> [B]``. Padding
behind the mask changes nothing: a padded batch gives each item the frames that it gets alone.
"""
