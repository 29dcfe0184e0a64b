//! AdamW (arXiv 1711.05101) over named parameters, with a rate and a decay of each parameter's own.

use crate::weights::{self, Path, Values, Weights, WeightsError};
use bridle_backends::Ops;
use bridle_backends::kernel::{AdamWFactors, AdamWState, sum_all_over_ranks};
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

/// A module in training, with its optimizer. An update has the module to itself, so that weights
/// are written over: of a module that something else refers to, every weight would be copied first.
#[derive(Clone, Debug)]
pub struct Trained<B: AutodiffBackend, M, G = UniformRate> {
    module: Option<M>,
    /// Its optimizer.
    pub optimizer: AdamW<B>,
    groups: G,
}

/// A module in training, whatever its type: its updates, and what a checkpoint keeps of it.
pub trait Trainable<B: AutodiffBackend> {
    /// Moves the gradients of its parameters from a backward pass into `sums`.
    fn take_gradients(&self, grads: &mut B::Gradients, sums: &mut Gradients<B>);

    /// Moves the parameters that have a gradient; without any gradient there is no step.
    fn update(&mut self, grads: Gradients<B>, rate: f64);

    /// The module's weights.
    fn weights(&self) -> Weights;

    /// Takes saved weights.
    ///
    /// # Errors
    /// If they do not fit.
    fn load_weights(&mut self, saved: &Weights) -> Result<(), WeightsError>;

    /// Its optimizer; None for a module that only a checkpoint needs.
    fn optimizer(&mut self) -> Option<&mut AdamW<B>>;
}

/// A module beside those that are trained: no gradient moves it, but a checkpoint keeps it.
#[derive(Clone, Debug)]
pub struct Frozen<M>(pub M);

impl<B: AutodiffBackend, M: Module<B>> Trainable<B> for Frozen<M> {
    fn take_gradients(&self, _: &mut B::Gradients, _: &mut Gradients<B>) {}

    fn update(&mut self, _: Gradients<B>, _: f64) {}

    fn weights(&self) -> Weights {
        weights::collect(&self.0)
    }

    fn load_weights(&mut self, saved: &Weights) -> Result<(), WeightsError> {
        self.0 = weights::load(self.0.clone(), saved)?;
        Ok(())
    }

    fn optimizer(&mut self) -> Option<&mut AdamW<B>> {
        None
    }
}

impl<M> Deref for Frozen<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.0
    }
}

impl<B: AutodiffBackend<InnerBackend: Ops>, M> Trained<B, M> {
    /// Before its first step.
    pub fn new(module: M, config: AdamWConfig) -> Self {
        Self::with_groups(module, config, UniformRate)
    }
}

impl<B: AutodiffBackend<InnerBackend: Ops>, M, G> Trained<B, M, G> {
    /// The same, with rates and decays by parameter.
    pub fn with_groups(module: M, config: AdamWConfig, groups: G) -> Self {
        Self {
            module: Some(module),
            optimizer: AdamW::new(config),
            groups,
        }
    }

    pub fn into_inner(self) -> M {
        self.module.expect(GONE)
    }
}

impl<B: AutodiffBackend<InnerBackend: Ops>, M: AutodiffModule<B>, G: ParameterGroups> Trainable<B>
    for Trained<B, M, G>
{
    fn take_gradients(&self, grads: &mut B::Gradients, sums: &mut Gradients<B>) {
        sums.take(&**self, grads);
    }

    fn update(&mut self, grads: Gradients<B>, rate: f64) {
        let module = self.module.take().expect(GONE);
        self.module = Some(self.optimizer.update(module, grads, rate, &self.groups));
    }

    fn weights(&self) -> Weights {
        weights::collect(&**self)
    }

    fn load_weights(&mut self, saved: &Weights) -> Result<(), WeightsError> {
        **self = weights::load((**self).clone(), saved)?;
        Ok(())
    }

    fn optimizer(&mut self) -> Option<&mut AdamW<B>> {
        Some(&mut self.optimizer)
    }
}

/// The module is away only during an update: nobody can see that but after a panic in one.
const GONE: &str = "an update returns its module";

impl<B: AutodiffBackend, M, G> Deref for Trained<B, M, G> {
    type Target = M;

    fn deref(&self) -> &M {
        self.module.as_ref().expect(GONE)
    }
}

impl<B: AutodiffBackend, M, G> DerefMut for Trained<B, M, G> {
    fn deref_mut(&mut self) -> &mut M {
        self.module.as_mut().expect(GONE)
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

    /// One update of every parameter of `module` that has a gradient in `grads`, which loses it.
    pub fn step<M: AutodiffModule<B>>(
        &mut self,
        module: M,
        grads: &mut B::Gradients,
        rate: f64,
        groups: &dyn ParameterGroups,
    ) -> M {
        let mut own = Gradients::default();
        own.take(&module, grads);
        self.update(module, own, rate, groups)
    }

    fn update<M: AutodiffModule<B>>(
        &mut self,
        module: M,
        grads: Gradients<B>,
        rate: f64,
        groups: &dyn ParameterGroups,
    ) -> M {
        if grads.0.is_empty() {
            return module;
        }
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

    /// Drops the moments: the next step is the first one again.
    pub fn restart(&mut self) {
        (self.moments, self.steps) = (BTreeMap::new(), 0);
    }

    /// Takes saved moments after `steps` steps. Names that are no moments are left out.
    pub fn load(&mut self, saved: &Weights, steps: u64, device: &B::Device) {
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
        (self.moments, self.steps) = (moments.collect(), steps);
    }
}

/// Gradients of one module by parameter, summed over the backward passes that they were taken from.
#[derive(Clone, Debug)]
pub struct Gradients<B: AutodiffBackend>(BTreeMap<String, Tensor<B::InnerBackend, 1>>);

impl<B: AutodiffBackend> Default for Gradients<B> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<B: AutodiffBackend> Gradients<B> {
    /// The gradients of `module`'s parameters.
    pub fn of<M: Module<B>>(module: &M, mut grads: B::Gradients) -> Self {
        let mut own = Self::default();
        own.take(module, &mut grads);
        own
    }

    /// The parameters that have a gradient, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Moves the gradients of `module`'s parameters here.
    fn take<M: Module<B>>(&mut self, module: &M, grads: &mut B::Gradients) {
        module.visit(&mut Take {
            sums: self,
            grads,
            path: Path::default(),
        });
    }
}

impl<B: AutodiffBackend<InnerBackend: Ops>> Gradients<B> {
    /// The sums over all ranks, which hold gradients of the same parameters.
    pub fn over_ranks(self) -> Self {
        let (names, gradients): (Vec<_>, Vec<_>) = self.0.into_iter().unzip();
        Self(names.into_iter().zip(sum_all_over_ranks(gradients)).collect())
    }
}

struct Take<'a, B: AutodiffBackend> {
    sums: &'a mut Gradients<B>,
    grads: &'a mut B::Gradients,
    path: Path,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Take<'_, B> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let Some(grad) = param.val().grad_remove(self.grads) else {
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
    grads: Gradients<B>,
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
        let Some(grad) = self.grads.0.remove(&name) else {
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
