//! What the steps of a caption share while they are unrolled: factors of products, which gather one gradient for all of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::rc::Rc;

use tch::{TchError, Tensor};

use crate::native::Shared;
use crate::precision::Precision;

/// The factors of some steps. What multiplies one must be of the same steps.
#[derive(Default)]
pub(super) struct Steps {
    /// By where their numbers lie; the tensors are kept, so that no other one comes to lie there.
    factors: RefCell<HashMap<*mut c_void, (Tensor, Rc<Shared>)>>,
}

impl Steps {
    /// x Wᵀ of `x […, inputs]` and `weight [outputs, inputs]`: `[…, outputs]`.
    pub(super) fn linear(
        &self,
        x: &Tensor,
        weight: &Tensor,
        precision: Precision,
    ) -> Result<Tensor, TchError> {
        let mut shape = x.size();
        let inputs = shape.pop().unwrap_or_default();
        shape.extend(weight.size().first());
        self.factor(weight, true, precision)?.product(&x.f_reshape([-1, inputs])?)?.f_view(shape.as_slice())
    }

    /// `a [rows, m, k]` and `b [rows, k, n]`, the same at every step → `[rows, m, n]`, in f32.
    pub(super) fn batched_product(&self, a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
        self.factor(b, false, Precision::F32)?.product(a)
    }

    fn factor(&self, value: &Tensor, transposed: bool, precision: Precision) -> Result<Rc<Shared>, TchError> {
        let mut factors = self.factors.borrow_mut();
        let place = value.data_ptr();
        if let Some((_, shared)) = factors.get(&place) {
            return Ok(Rc::clone(shared));
        }
        let shared = Rc::new(Shared::new(value, transposed, precision)?);
        factors.insert(place, (value.shallow_clone(), Rc::clone(&shared)));
        Ok(shared)
    }
}
