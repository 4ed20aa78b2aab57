//! ImageService over [`Images`]. Each call works on a blocking thread; a client that vanishes
//! ends no call but PullImage, see [`Pull`](crate::image::Pull).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use std::vec;

use tokio_stream::Iter;
use tonic::{Code, Request, Response, Status};

use super::{ToStatus, call};
use crate::image::{ImageError, Images, LocalImage};
use crate::metrics::{Metrics, Outcome, Phase};
use crate::proto::image_service_server::{ImageService, ImageServiceServer};
use crate::proto::{
    Image, ImageFilter, ImageFsInfoRequest, ImageFsInfoResponse, ImageSpec, ImageStatusRequest,
    ImageStatusResponse, Int64Value, ListImagesRequest, ListImagesResponse, PullImageRequest,
    PullImageResponse, RemoveImageRequest, RemoveImageResponse, StreamImagesRequest,
    StreamImagesResponse,
};

/// Images in one message of a stream; each is a few hundred bytes.
const STREAM_CHUNK: usize = 256;

/// Makes the service. Containers have their files below `containers`.
pub fn service(
    images: Arc<Images>,
    metrics: Arc<Metrics>,
    containers: PathBuf,
) -> ImageServiceServer<impl ImageService> {
    ImageServiceServer::new(Service {
        images,
        metrics,
        containers,
    })
}

struct Service {
    images: Arc<Images>,
    metrics: Arc<Metrics>,
    containers: PathBuf,
}

impl ToStatus for ImageError {
    fn to_status(&self) -> Status {
        Status::new(self.code(), self.story())
    }
}

impl From<ImageError> for Status {
    fn from(error: ImageError) -> Self {
        error.to_status()
    }
}

impl Service {
    /// Runs `work` on a thread that may block. It goes on when the client is gone.
    async fn blocking<T: Send + 'static>(
        &self,
        method: &'static str,
        work: impl FnOnce(&Images) -> Result<T, ImageError> + Send + 'static,
    ) -> Result<T, Status> {
        let images = Arc::clone(&self.images);
        let done = call(&self.metrics, method, Request::new(()), move |()| {
            work(&images)
        });
        done.await.map(Response::into_inner)
    }

    async fn list(
        &self,
        method: &'static str,
        filter: Option<ImageFilter>,
    ) -> Result<Vec<Image>, Status> {
        let wanted = filter.and_then(|filter| filter.image);
        let wanted = wanted.map(|spec| spec.image).unwrap_or_default();
        self.blocking(method, move |images| {
            let found = if wanted.is_empty() {
                images.list()?
            } else {
                images.matching(&wanted)?
            };
            Ok(found.into_iter().map(Image::from).collect())
        })
        .await
    }
}

#[tonic::async_trait]
impl ImageService for Service {
    type StreamImagesStream = Iter<vec::IntoIter<Result<StreamImagesResponse, Status>>>;

    async fn list_images(
        &self,
        request: Request<ListImagesRequest>,
    ) -> Result<Response<ListImagesResponse>, Status> {
        let images = self.list("ListImages", request.into_inner().filter).await?;
        Ok(Response::new(ListImagesResponse { images }))
    }

    async fn stream_images(
        &self,
        request: Request<StreamImagesRequest>,
    ) -> Result<Response<Self::StreamImagesStream>, Status> {
        let images = self
            .list("StreamImages", request.into_inner().filter)
            .await?;
        let messages: Vec<_> = images
            .chunks(STREAM_CHUNK)
            .map(|images| {
                Ok(StreamImagesResponse {
                    images: images.to_vec(),
                })
            })
            .collect();
        Ok(Response::new(tokio_stream::iter(messages)))
    }

    async fn image_status(
        &self,
        request: Request<ImageStatusRequest>,
    ) -> Result<Response<ImageStatusResponse>, Status> {
        let request = request.into_inner();
        let text = named(request.image)?.image;
        let response = self.blocking("ImageStatus", move |images| {
            let Some(image) = images.find(&text)? else {
                return Ok(ImageStatusResponse::default());
            };
            let mut response = ImageStatusResponse::default();
            if request.verbose {
                let info = images.info(&image)?.to_string();
                response.info.insert("info".to_owned(), info);
            }
            response.image = Some(image.into());
            Ok(response)
        });
        response.await.map(Response::new)
    }

    async fn pull_image(
        &self,
        request: Request<PullImageRequest>,
    ) -> Result<Response<PullImageResponse>, Status> {
        let request = request.into_inner();
        let spec = named(request.image)?;
        let started = Instant::now();
        // No thread of the runtime's waits: pulls may take long, and be many.
        let landed = match self.images.begin_pull(&spec, request.auth.as_ref()) {
            Ok(pull) => pull.landing().await,
            Err(error) => Err(error),
        };
        let took = started.elapsed();
        let code = landed.as_ref().map_or_else(ImageError::code, |_| Code::Ok);
        self.metrics.rpc("PullImage", code, took);
        let outcome = match code {
            Code::Ok => Outcome::Done,
            Code::Internal | Code::Unavailable | Code::Unknown => Outcome::Failed,
            _ => Outcome::Refused,
        };
        self.metrics.pull(outcome);
        self.metrics.phase(Phase::Pull, took);
        let image = landed.inspect_err(|error| {
            tracing::warn!(image = %spec.image, code = ?code, error = error.story(), "a pull failed");
        })?;
        Ok(Response::new(PullImageResponse {
            image_ref: image.id,
        }))
    }

    async fn remove_image(
        &self,
        request: Request<RemoveImageRequest>,
    ) -> Result<Response<RemoveImageResponse>, Status> {
        let text = named(request.into_inner().image)?.image;
        let removed = self.blocking("RemoveImage", move |images| images.remove(&text));
        removed.await?;
        Ok(Response::new(RemoveImageResponse {}))
    }

    async fn image_fs_info(
        &self,
        _: Request<ImageFsInfoRequest>,
    ) -> Result<Response<ImageFsInfoResponse>, Status> {
        let containers = self.containers.clone();
        let info = self.blocking("ImageFsInfo", move |images| images.filesystems(&containers));
        info.await.map(Response::new)
    }
}

/// A request must name an image.
fn named(spec: Option<ImageSpec>) -> Result<ImageSpec, ImageError> {
    spec.filter(|spec| !spec.image.is_empty())
        .ok_or(ImageError::NoName)
}

impl From<LocalImage> for Image {
    fn from(image: LocalImage) -> Self {
        let (uid, username) = user(&image.user);
        let spec = ImageSpec {
            image: image.name().to_owned(),
            annotations: image.annotations,
            ..ImageSpec::default()
        };
        Self {
            id: image.id,
            repo_tags: image.tags,
            repo_digests: image.digests,
            size: image.size_bytes,
            uid: uid.map(|value| Int64Value { value }),
            username,
            spec: Some(spec),
            pinned: false,
        }
    }
}

/// The user of an image's configuration, without its group: a number, or a name. kubelet takes
/// neither for root.
fn user(text: &str) -> (Option<i64>, String) {
    let user = text.split(':').next().unwrap_or_default();
    match user.parse() {
        Ok(uid) => (Some(uid), String::new()),
        Err(_) => (None, user.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Image, LocalImage, user};

    #[test]
    fn a_user_is_a_number_or_a_name() {
        for (text, uid, name) in [
            ("", None, ""),
            ("0", Some(0), ""),
            ("1000:1001", Some(1000), ""),
            ("web", None, "web"),
            ("web:logs", None, "web"),
        ] {
            assert_eq!(user(text), (uid, name.to_owned()), "{text}");
        }
    }

    #[test]
    fn an_image_has_all_fields() {
        let image = LocalImage {
            id: "sha256:1".to_owned(),
            tags: vec!["h/a:1".to_owned()],
            digests: vec!["h/a@sha256:2".to_owned()],
            size_bytes: 3,
            user: "4".to_owned(),
            annotations: [("k".to_owned(), "v".to_owned())].into(),
            ..LocalImage::default()
        };
        let image = Image::from(image);
        let spec = image.spec.expect("a specification");
        assert_eq!(
            (spec.image.as_str(), spec.annotations["k"].as_str()),
            ("h/a:1", "v")
        );
        assert_eq!(image.uid.map(|uid| uid.value), Some(4));
        assert_eq!((image.size, image.pinned), (3, false));
    }
}
