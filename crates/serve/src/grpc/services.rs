//! The calls: `PredictionService.Predict` and `.GetModelMetadata`, `ModelService.GetModelStatus`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use caption::SearchSettings;
use prost::Message;
use serde_json::{Map, Value};
use tonic::{Request, Response, Status, async_trait};

use super::tensors;
use crate::app::App;
use crate::engine;
use crate::error::ServeError;
use crate::models::Served;
use crate::proto::google::protobuf::Any;
use crate::proto::tensorflow::serving::model_service_server::ModelService;
use crate::proto::tensorflow::serving::model_spec::VersionChoice;
use crate::proto::tensorflow::serving::model_version_status::State;
use crate::proto::tensorflow::serving::prediction_service_server::PredictionService;
use crate::proto::tensorflow::serving::{
    GetModelMetadataRequest, GetModelMetadataResponse, GetModelStatusRequest, GetModelStatusResponse,
    ModelSpec, ModelVersionStatus, PredictRequest, PredictResponse, SignatureDefMap, StatusProto,
};
use crate::proto::tensorflow::{SignatureDef, TensorInfo, TensorProto};
use crate::settings;
use crate::signature::{self, INPUTS, METHOD, OUTPUTS, PHOTO, SIGNATURE, of_row};

/// Field of the metadata that we know.
const SIGNATURE_DEF: &str = "signature_def";

/// What the metadata is, for the client that unpacks it.
const SIGNATURES: &str = "type.googleapis.com/tensorflow.serving.SignatureDefMap";

/// All services of the model; those of Open Inference are in `inference`.
#[derive(Clone)]
pub(super) struct Services {
    pub(super) app: Arc<App>,
}

impl Services {
    pub(super) async fn answer<T, R>(
        &self,
        request: Request<T>,
        work: impl AsyncFnOnce(&App, T) -> Result<R, ServeError>,
    ) -> Result<Response<R>, Status> {
        Ok(Response::new(work(&self.app, request.into_inner()).await?))
    }
}

/// The model that a request means, and its description for the answer.
fn find(app: &App, spec: Option<ModelSpec>) -> Result<(Arc<Served>, ModelSpec), ServeError> {
    let spec = spec.ok_or_else(|| ServeError::Malformed("the request has no model_spec".to_owned()))?;
    let served = match &spec.version_choice {
        None => app.models.find(&spec.name, None)?,
        Some(VersionChoice::Version(version)) => app.models.find(&spec.name, Some(version.value as u64))?,
        Some(VersionChoice::VersionLabel(label)) => app.models.labelled(&spec.name, label)?,
    };
    let number = crate::proto::google::protobuf::Int64Value { value: served.version as i64 };
    let spec = ModelSpec { version_choice: Some(VersionChoice::Version(number)), ..spec };
    Ok((served, spec))
}

async fn predict(app: &App, request: PredictRequest) -> Result<PredictResponse, ServeError> {
    let (served, spec) = find(app, request.model_spec)?;
    signature::check(&spec.signature_name)?;
    request.output_filter.iter().try_for_each(|name| signature::check_output(name))?;
    let requests = requests(request.inputs, served.captioner.search_settings())?;
    let answers = app.caption(&served, requests).await?;
    let best: Vec<_> = answers.iter().map(|answer| answer.captioned.best()).collect();
    let captions = best.iter().map(|best| best.caption.clone().into_bytes()).collect();
    let scores = best.iter().map(|best| best.log_probability).collect();
    let outputs = [("caption", tensors::strings(captions)), ("log_probability", tensors::doubles(scores))];
    let wanted =
        |name: &str| request.output_filter.is_empty() || request.output_filter.iter().any(|one| one == name);
    let outputs = outputs.into_iter().filter(|(name, _)| wanted(name));
    let outputs = outputs.map(|(name, tensor)| (name.to_owned(), tensor)).collect();
    let spec = ModelSpec { signature_name: SIGNATURE.to_owned(), ..spec };
    Ok(PredictResponse { outputs, model_spec: Some(spec) })
}

/// A request for each photo, with its settings over those of the model.
fn requests(
    mut inputs: HashMap<String, TensorProto>,
    model: &SearchSettings,
) -> Result<Vec<engine::Request>, ServeError> {
    inputs.keys().try_for_each(|name| signature::check_input(name))?;
    let no_photo = || ServeError::Malformed(format!("the input {PHOTO:?} is missing"));
    let photos = tensors::bytes(PHOTO, inputs.remove(PHOTO).ok_or_else(no_photo)?)?;
    let columns = inputs.iter().map(|(name, tensor)| Ok((name, tensors::numbers(name, tensor)?)));
    let columns = columns.collect::<Result<Vec<_>, ServeError>>()?;
    let rows = photos.len();
    let request = |(row, photo): (usize, Vec<u8>)| {
        let mut settings = Map::new();
        for (name, values) in &columns {
            settings.insert((*name).clone(), Value::Number(of_row(name, values, row, rows)?.clone()));
        }
        let settings = settings::search(model, settings);
        let settings = settings.map_err(|error| if rows > 1 { error.at(row) } else { error })?;
        Ok(engine::Request::new(Bytes::from(photo), settings))
    };
    photos.into_iter().enumerate().map(request).collect()
}

async fn describe(
    app: &App,
    request: GetModelMetadataRequest,
) -> Result<GetModelMetadataResponse, ServeError> {
    if let Some(other) = request.metadata_field.iter().find(|field| *field != SIGNATURE_DEF) {
        return Err(ServeError::Malformed(format!(
            "metadata field {other:?}: there is only {SIGNATURE_DEF}"
        )));
    }
    if request.metadata_field.is_empty() {
        return Err(ServeError::Malformed(format!("name the metadata_field {SIGNATURE_DEF}")));
    }
    let (_, spec) = find(app, request.model_spec)?;
    let infos = |tensors: &[signature::Tensor]| -> HashMap<String, TensorInfo> {
        let info = |tensor: &signature::Tensor| TensorInfo {
            name: format!("{}:0", tensor.name),
            dtype: tensor.kind.into(),
            tensor_shape: Some(tensors::shape(-1)),
        };
        tensors.iter().map(|tensor| (tensor.name.to_owned(), info(tensor))).collect()
    };
    let signature =
        SignatureDef { inputs: infos(&INPUTS), outputs: infos(&OUTPUTS), method_name: METHOD.to_owned() };
    let signatures = SignatureDefMap { signature_def: HashMap::from([(SIGNATURE.to_owned(), signature)]) };
    let any = Any { type_url: SIGNATURES.to_owned(), value: signatures.encode_to_vec() };
    Ok(GetModelMetadataResponse {
        model_spec: Some(spec),
        metadata: HashMap::from([(SIGNATURE_DEF.to_owned(), any)]),
    })
}

async fn status(app: &App, request: GetModelStatusRequest) -> Result<GetModelStatusResponse, ServeError> {
    let (served, _) = find(app, request.model_spec)?;
    let status = ModelVersionStatus {
        version: served.version as i64,
        state: State::Available.into(),
        status: Some(StatusProto::default()),
    };
    Ok(GetModelStatusResponse { model_version_status: vec![status] })
}

#[async_trait]
impl PredictionService for Services {
    async fn predict(&self, request: Request<PredictRequest>) -> Result<Response<PredictResponse>, Status> {
        self.answer(request, predict).await
    }

    async fn get_model_metadata(
        &self,
        request: Request<GetModelMetadataRequest>,
    ) -> Result<Response<GetModelMetadataResponse>, Status> {
        self.answer(request, describe).await
    }
}

#[async_trait]
impl ModelService for Services {
    async fn get_model_status(
        &self,
        request: Request<GetModelStatusRequest>,
    ) -> Result<Response<GetModelStatusResponse>, Status> {
        self.answer(request, status).await
    }
}
