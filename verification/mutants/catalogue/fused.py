"""Mutations of the jets by operator overloading: chain and product rule, the Gram short cut."""

from verification.mutants.mutation import mutations

T = "tests/curvcore"
RULES = f"{T}/test_fused.py::test_rules_of_functions"
EVERY_LAYER = f"{T}/test_fused.py::test_every_layer_to_third_order"

CHAIN_RULE = mutations(
    "providers/fused/chain_rule.py",
    f"{T}/test_packing.py",
    (
        "torch.mul(curved[i], first[i:],",
        "torch.mul(curved[i], first[:d - i],",
        "x_i x_j has the wrong partners j from d = 2 on",
    ),
    (
        "curved, done = f2 * first, d",
        "curved, done = f1 * first, d",
        "f'' x_i x_j is formed with f'",
    ),
    (
        "contracted(s, first) / 2",
        "contracted(s, first)",
        "f'' gets twice its gradient",
        "check gradients",
    ),
    (
        "to_channels = torch.addcmul(of_first * f1, s, f2)",
        "to_channels = torch.addcmul(of_first * f1, s, f2, value=2)",
        "x_i gets twice its gradient from x_ij",
        "check gradients",
    ),
    (
        "to_f1, to_f2 = contracted(gradient, channels),",
        "to_f1, to_f2 = contracted(gradient[:d], channels[:d]),",
        "f' gets no gradient of f' x_ij",
        "check gradients",
    ),
    (
        "_add_contracted(slopes[i], row, x[i:])",
        "_add_contracted(slopes[i], row[1:], x[i + 1 :])",
        "the derivative of x_i² is x_i",
        "check gradients",
    ),
    (
        "slopes[i:].addcmul_(row, x[i])",
        "slopes[i:].addcmul_(row, x[i], value=-1)",
        "the gradient of x_i x_j in x_j has the wrong sign from i = 2 on",
        "check gradients",
    ),
    (
        "second_t = f2_t * square(first) + f2 * cross(first, first_t)",
        "second_t = f2_t * square(first) + f2 * cross(first, first_t) / 2",
        "the tangent of x_i x_j is halved, in forward mode over jets",
    ),
    (
        "second_t = second_t + f1_t * channels[d:] + f1 * channels_t[d:]",
        "second_t = second_t + f1 * channels_t[d:]",
        "the tangent of f' x_ij leaves out that of f'",
    ),
    (
        "return torch.cat([f1_t * first + f1 * first_t, second_t])",
        "return torch.cat([f1 * first_t, second_t])",
        "the tangent of f' x_i leaves out that of f'",
    ),
    (
        "composed.append(_sum_of_products((f1, third), (f2, mixed), (f3, triples)))",
        "composed.append(_sum_of_products((f1, third), (f2, triples), (f3, mixed)))",
        "f'' and f''' change places in the third derivative",
        EVERY_LAYER,
    ),
    (
        "composed.append(_sum_of_products((f1, second), (f2, pairs)))",
        "composed.append(_sum_of_products((f1, second), (f1, pairs)))",
        "f'' is taken for f', in the plain form of the chain rule",
        EVERY_LAYER,
    ),
)

PRODUCT_RULES = mutations(
    "providers/fused/product_rules.py",
    EVERY_LAYER,
    (
        "return second[second.shape[0] - count(d - i, 2) :]",
        "return second[: count(d - i, 2)]",
        "pairs (j, k) with i ≤ j are taken from the front",
    ),
    (
        "return pairs_from(second, d, i)[: d - i]",
        "return pairs_from(second, d, i)[-(d - i) :]",
        "x_ij with j ≥ i are taken from the end",
    ),
    (
        "[multiply(a[i : i + 1], b[i:]) + multiply(a[i:], b[i : i + 1]) for i in range(d)]",
        "[multiply(a[i : i + 1], b[i:]) - multiply(a[i:], b[i : i + 1]) for i in range(d)]",
        "a_i b_j − a_j b_i in the product rule",
    ),
    (
        "+ cross(row(second, d, i), first[i:], multiply)",
        "+ cross(first[i:], row(second, d, i), multiply)",
        "the factors of a product that does not commute change places",
        RULES,
    ),
    (
        "return torch.cat([first[i : i + 1] * pairs_from(pairs, d, i) for i in range(d)])",
        "return torch.cat([first[i : i + 1] * pairs_from(pairs, d, i) for i in range(d)][::-1])",
        "x_i x_j x_k stand in another order",
    ),
    (
        "return torch.cat([first[i : i + 1] * first[i:] for i in range(first.shape[0])])",
        "return torch.cat([first[i : i + 1] * first[i:] for i in range(first.shape[0])][::-1])",
        "x_i x_j stand in another order",
    ),
)

READOUT = mutations(
    "providers/fused/readout.py",
    f"{T}/test_short_cut.py",
    (
        "to_weight = isometry @ (rows.mT @ channels[ctx.first :].flatten(0, -2))",
        "pass",
        "the last layer gets no gradient by the Gram short cut",
        "check gradients",
    ),
    (
        "weight, dtype = weight.double(), weight.dtype",
        "dtype = weight.dtype",
        "WᵀW is factorised in float32",
    ),
    (
        "lengths = weight.detach().norm(dim=0)",
        "lengths = torch.ones_like(weight[0])",
        "columns of W are not scaled: those of other lengths look dependent",
    ),
    (
        "return (lengths[:, None] * factor).to(dtype), isometry",
        "return (lengths * factor).to(dtype), isometry",
        "the scale of W's columns comes back on the wrong side of L",
    ),
    (
        "shift = 4 * len(gram) * torch.finfo(gram.dtype).eps",
        "shift = 0.0",
        "columns of W that depend on each other have no factor",
    ),
    (
        "return F.linear(channels, self.weight)",
        "return F.linear(channels, self.weight, self.bias)",
        "derivatives see the offset",
    ),
    (
        "return AffineMap(self.weight.clone(), None if self.bias is None else self.bias.clone())",
        "return self",
        "what is computed late belongs to later parameters",
    ),
    (
        "return short < rows * inputs * outputs",
        "return short > rows * inputs * outputs",
        "the short cut is taken where it is the longer way: slower, equally right",
    ),
)

RESULT = mutations(
    "providers/fused/result.py",
    f"{T}/test_short_cut.py",
    (
        "return cls(source, last_layer.snapshot(), ambient_dimension)",
        "return cls(source, last_layer, ambient_dimension)",
        "what is computed late belongs to later parameters",
    ),
    (
        "sums = sums + total(self._last_layer.bias, 0)",
        "pass",
        "an infinite bias of the last layer is not seen",
    ),
    (
        "return torch.set_grad_enabled(self._with_gradient and torch.is_grad_enabled())",
        "return torch.set_grad_enabled(torch.is_grad_enabled())",
        "in a graph a jet made without gradients gets those of the last layer alone",
        f"{T}/test_compile.py::test_what_a_graph_makes_without_gradients_has_none_later",
    ),
    (
        "return self._last_layer.isometric_image(channels)",
        "return self._last_layer.isometric_image(channels.flip(-1))",
        "channels meet the columns of L in another order",
    ),
    (
        "return Derivatives(*(level.permute(1, 2, 0) for level in levels), channels=channels)",
        "return Derivatives(*(x.permute(1, 2, 0).detach() for x in levels), channels=channels)",
        "jets have no gradient",
        "check gradients",
    ),
)

JET_TENSOR = mutations(
    "providers/fused/jet_tensor.py",
    f"{T}/test_short_cut.py",
    (
        "with torch.set_grad_enabled(self.with_gradient):  # not what",
        "with torch.no_grad():  # not what",
        "a layer that is looked at late loses its gradient",
        "check gradients",
    ),
    (
        "return cls(z, identity(d, z.dtype, z.device)[:, None, :], d, order)",
        "return cls(z.detach(), identity(d, z.dtype, z.device)[:, None, :], d, order)",
        "jets have no gradient in z",
        "check gradients",
    ),
    (
        "channels = affine_map.of_channels(source.channels)",
        "channels = affine_map.of_channels(source.channels.detach())",
        "derivatives have no gradient but in the layer that is looked at late",
        "check gradients",
    ),
    (
        "missing = sum(level_sizes(self.d, self.order)) - self.channels.shape[0]",
        "missing = 0 * self.channels.shape[0]",
        "derivatives that are structurally zero are missing",
        f"{T}/test_jets.py",
    ),
)

REGISTRY = mutations(
    "providers/fused/registry.py",
    f"{T}/test_fused.py {T}/test_own_rules.py",
    (
        "return x.like(value, channels * multiplier(size, *args, **kwargs))",
        "return x.like(value, channels)",
        "derivatives at x/|x| are taken for those at x",
        f"{T}/test_range.py",
    ),
    (
        "value = applied(function, x.value.clone() if in_place else x.value, *args, **kwargs)",
        "value = applied(function, x.value, *args, **kwargs)",
        "activations that work in place destroy what their derivatives need",
        f"{T}/test_fused.py::test_activations_in_place",
    ),
    (
        "factors = islice(derivatives(x.value, value, *args, **kwargs), x.order)",
        "factors = islice(derivatives(x.value.detach(), value, *args, **kwargs), x.order)",
        "f', f'', f''' lose their gradient in x",
        "check gradients",
    ),
    (
        "return factor.to(value).expand_as(value)",
        "return factor.expand_as(value)",
        "derivatives given as numbers are float32",
        f"{T}/test_fused.py::test_rules_may_give_numbers",
    ),
    (
        "return rows.unflatten(0, channels.shape[:2])",
        "return rows.detach().unflatten(0, channels.shape[:2])",
        "derivatives of convolutions lose their gradient",
        f"{T}/test_gradients.py",
    ),
)

LAYERS = mutations(
    "providers/fused/layers.py",
    "check gradients",
    (
        "return [None if t is None else t.view_as(t) for t in tensors]",
        "return list(tensors)",
        "gradients in a weight count how the stack depends on it, again",
        "tests/curvcore/test_second_gradients.py",
    ),
    (
        "torch.mul(of_second, f1, out=to_x[d + 1 :])",
        "torch.mul(of_second, f2, out=to_x[d + 1 :])",
        "x̄_ij = f'' ȳ_ij",
    ),
    (
        "s.mul_(f2).addcmul_(of_first, f1)",
        "s.mul_(f1).addcmul_(of_first, f1)",
        "x̄_i has f' s_i for f'' s_i",
    ),
    (
        "to_x[0].addcmul_(f3, contracted(s, first), value=0.5)",
        "to_x[0].addcmul_(f3, contracted(s, first), value=1.0)",
        "the third derivative counts twice",
    ),
    (
        "to_x[0].addcmul_(f2, contracted(gradient[1:], channels))",
        "to_x[0].addcmul_(f2, contracted(gradient[1 : d + 1], first))",
        "the value hears nothing of second derivatives",
    ),
    (
        "to_bias = of_stack[0].sum(0)",
        "to_bias = of_stack.sum((0, 1))",
        "derivatives pull at the bias",
    ),
    (
        "to_weight = torch.addmm(to_weight, of_rows.mT, rows)",
        "pass",
        "the first layer's weights get no gradient from derivatives",
    ),
    (
        "if torch.is_grad_enabled():  # to be differentiated once more",
        "if False:",
        "second derivatives of gradients take factors for constant",
        f"{T}/test_gradients.py",
    ),
)

MUTATIONS = [
    *LAYERS, *CHAIN_RULE, *PRODUCT_RULES, *READOUT, *RESULT, *JET_TENSOR, *REGISTRY,
]  # fmt: skip
