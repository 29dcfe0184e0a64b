//! The fused operations on flex: from tensors to slices and back. Other float types than f32 take the plain form.

use super::flex_attention::{self, Sizes};
use super::flex_rows::{self, Mlp};
use super::team::Team;
use super::{AdamWFactors, AdamWState, MlpTensors, NormGrads, Ops, is_plain, plain};
use burn::tensor::{DType, Shape, Tensor, TensorData, TensorPrimitive};
use burn_flex::{Flex, FlexTensor};

/// A tensor whose elements are an f32 slice.
struct Slice(FlexTensor);

impl Slice {
    /// Copies only views that are not contiguous.
    fn new<const D: usize>(tensor: Tensor<Flex, D>) -> Self {
        Self(tensor.into_primitive().tensor().to_contiguous())
    }

    fn get(&self) -> &[f32] {
        self.0
            .as_slice()
            .expect("a contiguous tensor whose type has been checked")
    }
}

/// A contiguous tensor's elements; a copy is made first where somebody else holds them too.
fn slice_mut(tensor: &mut FlexTensor) -> &mut [f32] {
    let (start, end) = tensor
        .layout()
        .contiguous_offsets()
        .expect("a tensor just made contiguous");
    &mut tensor.storage_mut()[start..end]
}

fn tensor<const D: usize>(values: Vec<f32>, shape: impl Into<Shape>) -> Tensor<Flex, D> {
    Tensor::from_primitive(TensorPrimitive::Float(FlexTensor::from_data(TensorData::new(
        values, shape,
    ))))
}

/// Whether the slices' form applies: f32, not empty, and not told otherwise.
fn is_fast<const D: usize>(tensor: &Tensor<Flex, D>) -> bool {
    tensor.dtype() == DType::F32 && tensor.shape().num_elements() > 0 && !is_plain()
}

fn sizes(qkv: &Tensor<Flex, 3>, heads: usize) -> Sizes {
    let [_, tokens, width3] = qkv.dims();
    Sizes {
        tokens,
        width: width3 / 3,
        heads,
    }
}

/// An MLP's parameters as slices.
struct MlpSlices([Slice; 4]);

impl MlpSlices {
    fn new(mlp: MlpTensors<Flex>) -> Self {
        Self([
            Slice::new(mlp.weight1),
            Slice::new(mlp.bias1),
            Slice::new(mlp.weight2),
            Slice::new(mlp.bias2),
        ])
    }

    fn get(&self) -> Mlp<'_> {
        let [weight1, bias1, weight2, bias2] = self.0.each_ref().map(Slice::get);
        Mlp {
            weight1,
            bias1,
            weight2,
            bias2,
        }
    }
}

impl Ops for Flex {
    fn self_attention(qkv: Tensor<Self, 3>, heads: usize) -> Tensor<Self, 3> {
        if !is_fast(&qkv) {
            return plain::self_attention(qkv, heads);
        }
        let ([batch, ..], sizes) = (qkv.dims(), sizes(&qkv, heads));
        tensor(
            flex_attention::forward(Slice::new(qkv).get(), sizes),
            [batch, sizes.tokens, sizes.width],
        )
    }

    fn self_attention_backward(
        qkv: Tensor<Self, 3>,
        _result: (Tensor<Self, 3>, Option<Tensor<Self, 3>>),
        grad: Tensor<Self, 3>,
        heads: usize,
    ) -> Tensor<Self, 3> {
        if !is_fast(&qkv) {
            return plain::self_attention_backward(qkv, grad, heads);
        }
        let (shape, sizes) = (qkv.dims(), sizes(&qkv, heads));
        tensor(
            flex_attention::backward(Slice::new(qkv).get(), Slice::new(grad).get(), sizes),
            shape,
        )
    }

    fn norm_rows(
        rows: Tensor<Self, 2>,
        scale: Tensor<Self, 1>,
        shift: Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 2> {
        if !is_fast(&rows) {
            return plain::norm_rows(rows, scale, shift, epsilon);
        }
        let shape = rows.dims();
        let (rows, scale, shift) = (Slice::new(rows), Slice::new(scale), Slice::new(shift));
        tensor(
            flex_rows::norm(rows.get(), scale.get(), shift.get(), epsilon as f32),
            shape,
        )
    }

    fn norm_rows_backward(
        rows: Tensor<Self, 2>,
        scale: Tensor<Self, 1>,
        grad: Tensor<Self, 2>,
        epsilon: f64,
    ) -> NormGrads<Self> {
        if !is_fast(&rows) {
            return plain::norm_rows_backward(rows, scale, grad, epsilon);
        }
        let [count, width] = rows.dims();
        let (rows, scale, grad) = (Slice::new(rows), Slice::new(scale), Slice::new(grad));
        let mut out = vec![0.0; count * width];
        let [scale, shift] = flex_rows::norm_backward(
            Team::Rayon,
            &mut out,
            rows.get(),
            scale.get(),
            grad.get(),
            epsilon as f32,
        );
        NormGrads {
            rows: tensor(out, [count, width]),
            scale: tensor(scale, [width]),
            shift: tensor(shift, [width]),
        }
    }

    fn mlp_rows(rows: Tensor<Self, 2>, mlp: MlpTensors<Self>) -> Tensor<Self, 2> {
        if !is_fast(&rows) {
            return plain::mlp_rows_with_hidden(rows, mlp).0;
        }
        let shape = rows.dims();
        tensor(MlpSlices::new(mlp).get().forward(Slice::new(rows).get()), shape)
    }

    fn mlp_rows_with_hidden(rows: Tensor<Self, 2>, mlp: MlpTensors<Self>) -> (Tensor<Self, 2>, Tensor<Self, 2>) {
        if !is_fast(&rows) {
            return plain::mlp_rows_with_hidden(rows, mlp);
        }
        let ([count, width], [wide]) = (rows.dims(), mlp.bias1.dims());
        let (out, hidden) = MlpSlices::new(mlp).get().forward_with_hidden(Slice::new(rows).get());
        (tensor(out, [count, width]), tensor(hidden, [count, wide]))
    }

    fn mlp_rows_backward(
        rows: Tensor<Self, 2>,
        mlp: MlpTensors<Self>,
        hidden: Tensor<Self, 2>,
        grad: Tensor<Self, 2>,
    ) -> (Tensor<Self, 2>, MlpTensors<Self>) {
        if !is_fast(&rows) {
            return plain::mlp_rows_backward(rows, mlp, hidden, grad);
        }
        let ([count, width], [wide]) = (rows.dims(), mlp.bias1.dims());
        let (rows, hidden, grad) = (Slice::new(rows), Slice::new(hidden), Slice::new(grad));
        let (rows, [weight1, bias1, weight2, bias2]) =
            MlpSlices::new(mlp).get().backward(rows.get(), hidden.get(), grad.get());
        let grads = MlpTensors {
            weight1: tensor(weight1, [width, wide]),
            bias1: tensor(bias1, [wide]),
            weight2: tensor(weight2, [wide, width]),
            bias2: tensor(bias2, [width]),
        };
        (tensor(rows, [count, width]), grads)
    }

    fn adamw_step(state: AdamWState<Self>, grad: Tensor<Self, 1>, factors: &AdamWFactors) -> AdamWState<Self> {
        if !is_fast(&grad) {
            return plain::adamw_step(state, grad, factors);
        }
        let grad = Slice::new(grad);
        let [mut weights, mut first, mut second] = [state.weights, state.first, state.second].map(|t| Slice::new(t).0);
        flex_rows::adamw(
            Team::Rayon,
            slice_mut(&mut weights),
            slice_mut(&mut first),
            slice_mut(&mut second),
            grad.get(),
            factors.in_order(),
        );
        let [weights, first, second] =
            [weights, first, second].map(|tensor| Tensor::from_primitive(TensorPrimitive::Float(tensor)));
        AdamWState { weights, first, second }
    }
}
