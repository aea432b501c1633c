"""CTNet: a CNN branch for texture and a window-attention branch for structure, fused adaptively."""
