"""Speaker nets. The promise: waveforms [B, T] (and lengths [B]) -> embeddings [B, D].

`encoder.SpeakerEncoder` joins front-end, backbone, pooling and projection. A backbone takes features [B, F, N] and
a mask [B, 1, N] (or None) and returns frames [B, C, N]; it tells its width as `output_dim`.
"""
