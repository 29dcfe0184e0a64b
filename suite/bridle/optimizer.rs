//! AdamW (arXiv 1711.05101) over named parameters, with a rate and a decay of each parameter's own.

use crate::weights::{Path, Values, Weights};
use bridle_backends::Ops;
use bridle_backends::kernel::{AdamWFactors, AdamWState};
use bridle_values::check::{Checked, not_negative, positive, share};
use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

/// AdamW's constants, as they stand in a plan's sections.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay of parameters with more than one axis.
    pub weight_decay: f64,
}

impl AdamWConfig {
    /// Checks the constants of this section of a plan.
    ///
    /// # Errors
    /// Names the first constant that is impossible.
    pub fn check(&self, section: &str) -> Checked {
        let key = |name: &str| format!("{section}.{name}");
        share(&key("beta1"), self.beta1)?;
        share(&key("beta2"), self.beta2)?;
        positive(&key("epsilon"), self.epsilon)?;
        not_negative(&key("weight_decay"), self.weight_decay)
    }
}

/// A module in training. An optimizer takes it out, so that it can overwrite the weights: while a
/// second handle to the module exists, every weight is copied first.
#[derive(Clone, Debug)]
pub struct Trained<M>(Option<M>);

impl<M> Trained<M> {
    pub const fn new(module: M) -> Self {
        Self(Some(module))
    }

    /// Replaces the module by what `step` makes of it.
    pub fn update(&mut self, step: impl FnOnce(M) -> M) {
        self.0 = self.0.take().map(step);
    }

    pub fn into_inner(self) -> M {
        self.0.expect(GONE)
    }
}

/// The module is missing only after a panic in a step.
const GONE: &str = "a step returns its module";

impl<M> Deref for Trained<M> {
    type Target = M;

    fn deref(&self) -> &M {
        self.0.as_ref().expect(GONE)
    }
}

impl<M> DerefMut for Trained<M> {
    fn deref_mut(&mut self) -> &mut M {
        self.0.as_mut().expect(GONE)
    }
}

/// Moments of one parameter, flattened.
#[derive(Clone, Debug)]
struct Moments<B: AutodiffBackend> {
    first: Tensor<B::InnerBackend, 1>,
    second: Tensor<B::InnerBackend, 1>,
}

/// The optimizer, with moments of every parameter that ever had a gradient, by name.
#[derive(Clone, Debug)]
pub struct AdamW<B: AutodiffBackend> {
    config: AdamWConfig,
    moments: BTreeMap<String, Moments<B>>,
    steps: u64,
}

/// How an update depends on a parameter's name and number of axes.
pub trait ParameterGroups {
    /// Factor on the learning rate.
    fn rate_scale(&self, _name: &str) -> f64 {
        1.0
    }

    /// Whether weight decay applies: not to 1-D parameters (biases, norms).
    fn decays(&self, _name: &str, axes: usize) -> bool {
        axes > 1
    }
}

/// One rate for all; decay on everything but 1-D parameters.
#[derive(Clone, Copy, Debug)]
pub struct UniformRate;
impl ParameterGroups for UniformRate {}

impl<B: AutodiffBackend<InnerBackend: Ops>> AdamW<B> {
    pub fn new(config: AdamWConfig) -> Self {
        Self {
            config,
            moments: BTreeMap::new(),
            steps: 0,
        }
    }

    /// One update of every parameter of `module` that has a gradient.
    pub fn step<M: AutodiffModule<B>>(
        &mut self,
        module: M,
        grads: &B::Gradients,
        rate: f64,
        groups: &dyn ParameterGroups,
    ) -> M {
        self.update(module, Source::Graph(grads), rate, groups)
    }

    /// The same with the sums of several graphs' gradients.
    pub fn step_by_sums<M: AutodiffModule<B>>(
        &mut self,
        module: M,
        sums: &GradientSums<B>,
        rate: f64,
        groups: &dyn ParameterGroups,
    ) -> M {
        self.update(module, Source::Sums(sums), rate, groups)
    }

    fn update<M: AutodiffModule<B>>(
        &mut self,
        module: M,
        grads: Source<'_, B>,
        rate: f64,
        groups: &dyn ParameterGroups,
    ) -> M {
        self.steps += 1;
        module.map(&mut Update {
            optimizer: self,
            grads,
            rate,
            groups,
            path: Path::default(),
        })
    }

    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// The moments by name, for a checkpoint: `<parameter>.first`, `<parameter>.second`.
    pub fn save(&self) -> Weights {
        let values = |tensor: &Tensor<B::InnerBackend, 1>| Values::from_data(tensor.to_data());
        let named = self.moments.iter().flat_map(|(name, moments)| {
            [
                (format!("{name}.first"), values(&moments.first)),
                (format!("{name}.second"), values(&moments.second)),
            ]
        });
        Weights::from_iter(named)
    }

    /// Continues from saved moments after `steps` steps. Ignores names of other tensors.
    pub fn load(config: AdamWConfig, saved: &Weights, steps: u64, device: &B::Device) -> Self {
        let tensor =
            |values: &Values| Tensor::from_data(TensorData::new(values.data.clone(), [values.data.len()]), device);
        let moments = saved.iter().filter_map(|(name, first)| {
            let name = name.strip_suffix(".first")?;
            let second = saved.get(&format!("{name}.second"))?;
            Some((
                name.to_owned(),
                Moments {
                    first: tensor(first),
                    second: tensor(second),
                },
            ))
        });
        Self {
            config,
            moments: moments.collect(),
            steps,
        }
    }
}

/// Where an update's gradients come from.
enum Source<'a, B: AutodiffBackend> {
    Graph(&'a B::Gradients),
    Sums(&'a GradientSums<B>),
}

/// Gradients of several batches, summed by the parameter's name.
#[derive(Clone, Debug)]
pub struct GradientSums<B: AutodiffBackend>(BTreeMap<String, Tensor<B::InnerBackend, 1>>);

impl<B: AutodiffBackend> Default for GradientSums<B> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<B: AutodiffBackend> GradientSums<B> {
    /// Adds the gradients of `module`'s parameters. Names of modules that are added to one sum must
    /// differ.
    pub fn add<M: Module<B>>(&mut self, module: &M, grads: &B::Gradients) {
        module.visit(&mut Add {
            sums: self,
            grads,
            path: Path::default(),
        });
    }
}

struct Add<'a, B: AutodiffBackend> {
    sums: &'a mut GradientSums<B>,
    grads: &'a B::Gradients,
    path: Path,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Add<'_, B> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let Some(grad) = param.val().grad(self.grads) else {
            return;
        };
        let (name, length) = (self.path.name(), grad.shape().num_elements());
        let grad = grad.reshape([length]);
        let sum = match self.sums.0.remove(&name) {
            Some(sum) => sum + grad,
            None => grad,
        };
        self.sums.0.insert(name, sum);
    }
}

struct Update<'a, B: AutodiffBackend> {
    optimizer: &'a mut AdamW<B>,
    grads: Source<'a, B>,
    rate: f64,
    groups: &'a dyn ParameterGroups,
    path: Path,
}

impl<B: AutodiffBackend<InnerBackend: Ops>> ModuleMapper<B> for Update<'_, B> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = param.consume();
        let (name, shape) = (self.path.name(), tensor.shape());
        let length = shape.num_elements();
        let grad = match &self.grads {
            Source::Graph(grads) => tensor.grad(grads).map(|grad| grad.reshape([length])),
            Source::Sums(sums) => sums.0.get(&name).cloned(),
        };
        let Some(grad) = grad else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let AdamWConfig {
            beta1,
            beta2,
            epsilon,
            weight_decay,
        } = self.optimizer.config;
        let rate = self.rate * self.groups.rate_scale(&name);
        let weight_decay = if self.groups.decays(&name, D) {
            weight_decay
        } else {
            0.0
        };
        let weights = tensor.inner().reshape([length]);
        let moments = self.optimizer.moments.remove(&name);
        let moments = moments.unwrap_or_else(|| Moments {
            first: grad.zeros_like(),
            second: grad.zeros_like(),
        });
        let steps = self.optimizer.steps as i32;
        let (correction1, correction2) = (1.0 - beta1.powi(steps), 1.0 - beta2.powi(steps));
        let factors = AdamWFactors {
            beta1,
            beta2,
            epsilon,
            keep: 1.0 - rate * weight_decay,
            rate: rate / correction1,
            root: correction2.sqrt(),
        };
        let state = AdamWState {
            weights,
            first: moments.first,
            second: moments.second,
        };
        let AdamWState { weights, first, second } = B::InnerBackend::adamw_step(state, grad, &factors);
        self.optimizer.moments.insert(name, Moments { first, second });
        let tensor = Tensor::from_inner(weights.reshape(shape)).require_grad();
        Param::from_mapped_value(id, tensor, mapper)
    }
}
