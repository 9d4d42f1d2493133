# MoE-MDF with the layer decay that the published recipe names: block i of 0-11 learns at 0.9 ** (12 - i) times 5e-5, the
# embedding of patches and positions at 0.9 ** 13 times it, pyramid and decoders at 5e-5.
_base_ = ['./moe-mdf_vit-b-s4p_upernet_1xb48-100e_landcover4-512x512.py']
optim_wrapper = dict(
    constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor', paramwise_cfg=dict(layer_decay_rate=0.9))
