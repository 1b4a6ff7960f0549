//! A network ready to run, and the arrays that go in and come out.

use std::fmt;
use std::num::NonZeroUsize;

use ort::ep;
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{OutputSelector, RunOptions, SessionInputValue};
use ort::value::{DynValue, Outlet, TensorElementType, TensorRef, ValueType};

use crate::library::{self, LibraryError, one_line};

/// Why a network cannot be made ready, or does not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    /// ONNX Runtime itself.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The bytes are damaged, no ONNX, or want what this ONNX Runtime has not.
    #[error("not a network that ONNX Runtime can run: {reason}")]
    Model {
        /// ONNX Runtime's word.
        reason: String,
    },
    /// The network has no input of this name.
    #[error("the network has no input `{name}`: its inputs are {known:?}")]
    UnknownInput {
        /// The name given.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// An input was given twice.
    #[error("the input `{name}` is given twice")]
    RepeatedInput {
        /// Its name.
        name: String,
    },
    /// An input was not given.
    #[error("the network needs the input `{0}` too")]
    MissingInput(Port),
    /// An input has another element type or shape than the network declares.
    #[error("the network does not take {given} {shape:?} as its input `{wanted}`")]
    Input {
        /// The element type given.
        given: Element,
        /// The shape given.
        shape: Vec<usize>,
        /// What the network declares.
        wanted: Port,
    },
    /// A shape and the number of values do not go together.
    #[error("the input `{name}` has {values} values, which is not what the shape {shape:?} says")]
    Values {
        /// The name of the input.
        name: String,
        /// The shape given.
        shape: Vec<usize>,
        /// The number of values given.
        values: usize,
    },
    /// An output is not an array of `f32`.
    #[error("the network's output `{0}` is no array of f32")]
    Output(Port),
    /// The network does not give what it should.
    #[error("the network gives no `{0}`")]
    Absent(String),
    /// The computation failed.
    #[error("the network does not run: {reason}")]
    Run {
        /// ONNX Runtime's word.
        reason: String,
    },
}

/// The element type of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// 32-bit floating point.
    F32,
    /// 64-bit signed integers.
    I64,
    /// One that is not served here, as ONNX Runtime calls it; for what is no array, its type in full.
    Other(String),
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::I64 => "i64",
            Self::Other(name) => name,
        })
    }
}

/// An input or output as the network declares it. Shown as `tokens: i64 [?, 20]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub element: Element,
    /// Its dimensions, `None` where a run decides; empty for a scalar, and where the network does not say.
    pub shape: Vec<Option<usize>>,
}

impl Port {
    fn of(outlet: &Outlet) -> Self {
        let (element, shape) = match outlet.dtype() {
            ValueType::Tensor { ty, shape, .. } => {
                let element = match ty {
                    TensorElementType::Float32 => Element::F32,
                    TensorElementType::Int64 => Element::I64,
                    other => Element::Other(other.to_string()),
                };
                (element, shape.iter().map(|&dimension| usize::try_from(dimension).ok()).collect())
            }
            other => (Element::Other(other.to_string()), vec![]),
        };
        Self { name: outlet.name().into(), element, shape }
    }

    /// Its dimensions for people, `[?, 20]`.
    pub(crate) fn sizes(&self) -> String {
        let size = |size: &Option<usize>| size.map_or("?".into(), |size| size.to_string());
        format!("[{}]", self.shape.iter().map(size).collect::<Vec<String>>().join(", "))
    }

    /// Whether an array of this shape may go in. ONNX Runtime looks again; what is left open here, it decides.
    fn takes(&self, shape: &[usize]) -> bool {
        self.shape.is_empty()
            || self.shape.len() == shape.len()
                && self
                    .shape
                    .iter()
                    .zip(shape)
                    .all(|(wanted, &given)| wanted.is_none_or(|wanted| wanted == given))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.name, self.element, self.sizes())
    }
}

/// An array that goes in, row-major and borrowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Input<'a> {
    /// Of 32-bit floating point.
    F32 {
        /// Its dimensions; none for a scalar, and any may be 0.
        shape: &'a [usize],
        /// As many as the product of the dimensions.
        values: &'a [f32],
    },
    /// Of 64-bit integers.
    I64 {
        /// Its dimensions; none for a scalar, and any may be 0.
        shape: &'a [usize],
        /// As many as the product of the dimensions.
        values: &'a [i64],
    },
}

impl<'a> Input<'a> {
    fn element(&self) -> Element {
        match self {
            Self::F32 { .. } => Element::F32,
            Self::I64 { .. } => Element::I64,
        }
    }

    fn shape(&self) -> &'a [usize] {
        match *self {
            Self::F32 { shape, .. } | Self::I64 { shape, .. } => shape,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::F32 { values, .. } => values.len(),
            Self::I64 { values, .. } => values.len(),
        }
    }

    /// As ONNX Runtime takes it, still borrowed.
    fn value(self) -> Result<SessionInputValue<'a>, ort::Error> {
        Ok(match self {
            Self::F32 { shape, values } => TensorRef::from_array_view((shape, values))?.into(),
            Self::I64 { shape, values } => TensorRef::from_array_view((shape, values))?.into(),
        })
    }
}

/// An array that comes out, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Its dimensions; none for a scalar, and any may be 0.
    pub shape: Vec<usize>,
    /// As many as the product of the dimensions.
    pub values: Vec<f32>,
}

impl Array {
    /// The rows at `indices`, repeats allowed.
    pub(crate) fn rows(&self, indices: &[usize]) -> Array {
        let size: usize = self.shape.iter().skip(1).product();
        let mut values = Vec::with_capacity(indices.len() * size);
        for &index in indices {
            values.extend_from_slice(&self.values[index * size..(index + 1) * size]);
        }
        let shape = [indices.len()].into_iter().chain(self.shape.iter().skip(1).copied()).collect();
        Array { shape, values }
    }
}

/// A network ready to run.
#[derive(Debug)]
pub struct Session {
    session: ort::session::Session,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

impl Session {
    /// Makes a network ready, from the bytes of an ONNX file. They are not needed afterwards.
    ///
    /// A run computes on `threads` threads, the calling one among them; the others sleep between runs. It takes memory when it
    /// needs it and gives it back.
    ///
    /// # Errors
    ///
    /// ONNX Runtime is missing, or cannot read or run the model.
    pub fn new(model: &[u8], threads: NonZeroUsize) -> Result<Self, OnnxError> {
        Self::with(model, threads, false)
    }

    /// The same for a network whose inputs always have the same shapes: the memory of a run is kept for the next.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn of_equal_runs(model: &[u8], threads: NonZeroUsize) -> Result<Self, OnnxError> {
        Self::with(model, threads, true)
    }

    fn with(model: &[u8], threads: NonZeroUsize, keeps_memory: bool) -> Result<Self, OnnxError> {
        let environment = library::environment()?;
        let refused = |error: ort::Error| OnnxError::Model { reason: one_line(error.message()) };
        let mut builder = SessionBuilder::new(environment)
            .and_then(|new| options(new, threads, keeps_memory))
            .map_err(refused)?;
        let session = builder.commit_from_memory(model).map_err(refused)?;
        let (inputs, outputs) = (ports(session.inputs()), ports(session.outputs()));
        Ok(Self { session, inputs, outputs })
    }

    /// What the network takes, in its own order.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// What the network gives, in its own order.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Computes the outputs, in the network's order, from all of its inputs, in any.
    ///
    /// The shapes of the outputs are those of this run, whatever the network declares: ONNX Runtime does not compare
    /// them. After an error the session is as it was.
    ///
    /// # Errors
    ///
    /// An input is missing, unknown or not what the network declares; an output is not of `f32`; the computation fails.
    pub fn run(&mut self, inputs: &[(&str, Input<'_>)]) -> Result<Vec<Array>, OnnxError> {
        self.check(inputs)?;
        if let Some(port) = self.outputs.iter().find(|port| port.element != Element::F32) {
            return Err(OnnxError::Output(port.clone()));
        }
        let outputs = self.session.run(values(inputs)?).map_err(failed)?;
        outputs.values().map(|value| array(&value)).collect()
    }

    /// The same for one output by its name, whatever the others are.
    ///
    /// # Errors
    ///
    /// Those of [`run`](Self::run); there is no such output.
    pub(crate) fn run_for(&mut self, inputs: &[(&str, Input<'_>)], output: &str) -> Result<Array, OnnxError> {
        self.check(inputs)?;
        let options = RunOptions::new().map_err(failed)?;
        let options = options.with_outputs(OutputSelector::no_default().with(output));
        let outputs = self.session.run_with_options(values(inputs)?, &options).map_err(failed)?;
        let value = outputs.get(output).ok_or_else(|| OnnxError::Absent(output.to_owned()))?;
        array(value)
    }

    fn check(&self, inputs: &[(&str, Input<'_>)]) -> Result<(), OnnxError> {
        for (at, (name, input)) in inputs.iter().enumerate() {
            let Some(port) = self.inputs.iter().find(|port| port.name == *name) else {
                let known = self.inputs.iter().map(|port| port.name.clone()).collect();
                return Err(OnnxError::UnknownInput { name: (*name).into(), known });
            };
            if inputs[..at].iter().any(|(other, _)| other == name) {
                return Err(OnnxError::RepeatedInput { name: (*name).into() });
            }
            let shape = input.shape();
            if input.element() != port.element || !port.takes(shape) {
                return Err(OnnxError::Input {
                    given: input.element(),
                    shape: shape.into(),
                    wanted: port.clone(),
                });
            }
            let wanted = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
            if wanted != Some(input.len()) {
                return Err(OnnxError::Values {
                    name: (*name).into(),
                    shape: shape.into(),
                    values: input.len(),
                });
            }
        }
        let missing = self.inputs.iter().find(|port| inputs.iter().all(|(name, _)| *name != port.name));
        missing.map_or(Ok(()), |port| Err(OnnxError::MissingInput(port.clone())))
    }
}

fn failed(error: ort::Error) -> OnnxError {
    OnnxError::Run { reason: one_line(error.message()) }
}

/// Inputs as ONNX Runtime takes them.
fn values<'a>(inputs: &[(&'a str, Input<'a>)]) -> Result<Vec<(&'a str, SessionInputValue<'a>)>, OnnxError> {
    inputs.iter().map(|&(name, input)| Ok((name, input.value().map_err(failed)?))).collect()
}

fn array(value: &DynValue) -> Result<Array, OnnxError> {
    let (shape, values) = value.try_extract_tensor::<f32>().map_err(failed)?;
    // The dimensions of a value that exists are none of them negative.
    let shape = shape.iter().map(|&dimension| usize::try_from(dimension).unwrap_or(0)).collect();
    Ok(Array { shape, values: values.to_vec() })
}

fn ports(outlets: &[Outlet]) -> Vec<Port> {
    outlets.iter().map(Port::of).collect()
}

/// Microseconds.
const SPIN_US: &str = "20";

/// How every session computes.
fn options(
    builder: SessionBuilder,
    threads: NonZeroUsize,
    keeps_memory: bool,
) -> Result<SessionBuilder, ort::Error> {
    Ok(builder
        // ONNX Runtime's arena keeps the most that any run ever needed: the best where all need as much, and a leak where
        // one photo among thousands is searched with a hundred hypotheses.
        .with_execution_providers([ep::CPU::default().with_arena_allocator(keeps_memory).build()])?
        .with_memory_pattern(true)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_parallel_execution(false)?
        .with_intra_threads(threads.get())?
        .with_inter_threads(1)?
        // A thread that spins while it waits takes its core from everything else on the machine. These spin within a run
        // alone, and (from 1.26 on) no longer between two operators than it takes the system to wake a thread.
        .with_intra_op_spinning(threads.get() > 1)?
        .with_config_entry("session.force_spinning_stop", "1")?
        .with_config_entry("session.intra_op.spin_duration_us", SPIN_US)?
        .with_inter_op_spinning(false)?
        .with_log_level(LogLevel::Fatal)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!("../tests/fixtures/", $name, ".onnx"))
        };
    }

    fn session(model: &[u8]) -> Session {
        Session::new(model, NonZeroUsize::MIN).unwrap_or_else(|error| panic!("{error}"))
    }

    const TABLE: [f32; 12] = [0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11.];

    fn table(values: &[f32]) -> (&'static str, Input<'_>) {
        ("table", Input::F32 { shape: &[4, 3], values })
    }

    fn at<'a>(shape: &'a [usize], values: &'a [i64]) -> (&'static str, Input<'a>) {
        ("at", Input::I64 { shape, values })
    }

    #[test]
    fn a_network_computes_its_outputs_from_inputs_in_any_order() {
        let mut session = session(fixture!("rows"));
        let wanted = [
            Array { shape: vec![2, 3], values: vec![9., 10., 11., 0., 1., 2.] },
            Array { shape: vec![], values: vec![33.] },
        ];
        assert_eq!(session.run(&[table(&TABLE), at(&[2], &[3, 0])]).unwrap(), wanted);
        assert_eq!(session.run(&[at(&[2], &[3, 0]), table(&TABLE)]).unwrap(), wanted);
    }

    #[test]
    fn arrays_may_be_empty_and_scalars() {
        let empty = session(fixture!("rows")).run(&[table(&TABLE), at(&[0], &[])]).unwrap();
        assert_eq!(empty[0], Array { shape: vec![0, 3], values: vec![] });
        assert_eq!(empty[1], Array { shape: vec![], values: vec![0.] });
        let scalar = session(fixture!("twice")).run(&[("x", Input::F32 { shape: &[], values: &[1.5] })]);
        assert_eq!(scalar.unwrap(), [Array { shape: vec![], values: vec![3.] }]);
    }

    #[test]
    fn a_network_tells_what_it_takes_and_gives() {
        let session = session(fixture!("rows"));
        let shown = |ports: &[Port]| ports.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(shown(session.inputs()), ["table: f32 [4, 3]", "at: i64 [?]"]);
        assert_eq!(shown(session.outputs()), ["rows: f32 [?, 3]", "sum: f32 []"]);
    }

    #[test]
    fn sessions_agree_whatever_their_threads() {
        let inputs = [table(&TABLE), at(&[2], &[1, 2])];
        let two = NonZeroUsize::new(2).unwrap();
        let mut other = Session::new(fixture!("rows"), two).unwrap();
        assert_eq!(other.run(&inputs).unwrap(), session(fixture!("rows")).run(&inputs).unwrap());
        // A session may be used from another thread than the one that made it.
        std::thread::spawn(move || other.run(&[table(&TABLE), at(&[1], &[0])]).unwrap()).join().unwrap();
    }

    #[test]
    fn wrong_inputs_are_errors_that_name_them() {
        let mut session = session(fixture!("rows"));
        let mut said = |inputs: &[(&str, Input<'_>)]| session.run(inputs).unwrap_err().to_string();
        let good = at(&[1], &[0]);
        assert_eq!(
            said(&[table(&TABLE), ("where", good.1)]),
            r#"the network has no input `where`: its inputs are ["table", "at"]"#
        );
        assert_eq!(said(&[table(&TABLE)]), "the network needs the input `at: i64 [?]` too");
        assert_eq!(said(&[good, table(&TABLE), good]), "the input `at` is given twice");
        assert_eq!(
            said(&[good, ("table", Input::F32 { shape: &[3, 4], values: &TABLE })]),
            "the network does not take f32 [3, 4] as its input `table: f32 [4, 3]`"
        );
        assert_eq!(
            said(&[table(&TABLE), ("at", Input::F32 { shape: &[1], values: &[0.] })]),
            "the network does not take f32 [1] as its input `at: i64 [?]`"
        );
        assert_eq!(
            said(&[table(&TABLE), at(&[2], &[0])]),
            "the input `at` has 1 values, which is not what the shape [2] says"
        );
        for shape in [&[][..], &[1, 1], &[usize::MAX]] {
            said(&[table(&TABLE), at(shape, &[0])]);
        }
    }

    #[test]
    fn a_computation_that_fails_is_an_error_and_the_session_goes_on() {
        let mut six = session(fixture!("six"));
        let error = six.run(&[("x", Input::F32 { shape: &[5], values: &[0.; 5] })]).unwrap_err();
        assert!(matches!(&error, OnnxError::Run { reason } if reason.contains("Reshape")), "{error}");
        assert_eq!(six.run(&[("x", Input::F32 { shape: &[6], values: &[0.; 6] })]).unwrap()[0].shape, [2, 3]);
        let mut rows = session(fixture!("rows"));
        assert!(matches!(rows.run(&[table(&TABLE), at(&[1], &[4])]), Err(OnnxError::Run { .. })));
    }

    #[test]
    fn outputs_of_another_type_are_an_error() {
        let error = session(fixture!("whole")).run(&[("x", Input::F32 { shape: &[2], values: &[0.; 2] })]);
        assert_eq!(error.unwrap_err().to_string(), "the network's output `y: i64 [1]` is no array of f32");
    }

    #[test]
    fn what_is_no_network_or_wants_more_than_there_is_gets_the_reason() {
        let said = |model: &[u8]| match Session::new(model, NonZeroUsize::MIN) {
            Err(OnnxError::Model { reason }) => reason,
            other => panic!("{other:?}"),
        };
        assert!(said(fixture!("unknown")).contains("Nonesuch"));
        assert!(said(fixture!("future")).contains("999"));
        assert_ne!(said(b""), "");
        assert_ne!(said(b"just text"), "");
        let whole = fixture!("rows");
        for length in 0..whole.len() - 1 {
            // Cut between two fields it is still a file of its format, only with less in it.
            match Session::new(&whole[..length], NonZeroUsize::MIN) {
                Ok(_) | Err(OnnxError::Model { .. }) => {}
                Err(other) => panic!("{length}: {other}"),
            }
        }
    }
}
